"""What was loaded, from where, how much of it fitted, and what was tried and did not exist."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class FileTried(msgspec.Struct, frozen=True, kw_only=True):
    """A path that looks like a checkpoint, and was asked for."""

    path: str
    existed: bool
    loaded: bool  # its content was read by torch.load or safetensors
    named_on_command_line: bool
    option: str = ""  # "--resume", where the command line names it so
    by_program: bool = True  # its own line asked, not a library on its behalf
    at: Place  # the program's own line that asked, or the library's where there is none


class ValueBefore(msgspec.Struct, frozen=True, kw_only=True):
    """A single number that a load replaced."""

    name: str  # parameter, buffer, or "lr of group 0"
    before: float
    after: float
    at_start: float | None = None  # when the first optimizer step began; None: not seen


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One outermost `load_state_dict` on a module, before the first optimizer step."""

    module: str  # qualified name of the module
    path: str  # the file the state came from; "" where unknown
    strict: bool
    raised: bool = False  # the call raised; what had matched may have been copied all the same
    from_this_run: bool = False  # the file was written after the program had begun
    in_file: int = 0  # tensors in the state that was handed over
    matched: int  # tensors
    total: int  # tensors the module has
    matched_bytes: int
    total_bytes: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]  # "head.weight: (80, 8) in the file, (1, 8) in the model"
    prefix: str = ""  # repair that would match more: "strip 'module.'", "prepend 'backbone.'"
    prefix_matched: int = 0  # tensors that would match with the repair
    changed: int = 0  # matched tensors whose bits the load changed
    reinitialised: tuple[str, ...] = ()  # loaded, and written over by an initialiser afterwards
    reinitialised_bytes: int = 0
    reinitialised_at: Place | None = None
    numbers: tuple[ValueBefore, ...] = ()  # single-element tensors that changed
    equal_at_start: tuple[str, ...] = ()  # matched, and at the first step as before the load
    at: Place


class OptimizerLoad(msgspec.Struct, frozen=True, kw_only=True):
    """One `load_state_dict` on an optimizer, before the first step."""

    optimizer: str
    path: str
    numbers: tuple[ValueBefore, ...]  # lr and weight decay of each group that changed
    at: Place


class Checkpoints(Evidence, frozen=True, kw_only=True):
    """Everything that was loaded or looked for. Nothing loaded is a fact too."""

    obtained_by: ClassVar[str] = "the program's start"
    tried: tuple[FileTried, ...]
    loads: tuple[Load, ...]
    optimizer_loads: tuple[OptimizerLoad, ...] = ()
    read_from_memory: int = 0  # checkpoints read from bytes, whose file is unknown
