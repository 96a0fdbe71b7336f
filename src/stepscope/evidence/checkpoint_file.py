"""What a checkpoint file holds, how it compares with something else, and what taints it."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence


class TensorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of the file. What its values are like is told of the finite ones."""

    name: str  # as in the model's state dictionary, or the path in the file
    part: str  # "model", "ema", "optimizer" or "other"
    shape: tuple[int, ...]
    dtype: str  # "float32"
    nbytes: int  # of its elements
    fingerprint: int = 0  # equal bits give equal numbers
    non_finite: int = 0  # elements that are nan or inf
    zeros: int = 0
    smallest: float | None = None
    largest: float | None = None
    mean: float | None = None
    deviation: float | None = None
    is_constant: bool = False
    value: float | None = None  # of a single element
    shared_with: str = ""  # the first name of the same memory
    hole: int = 0  # bytes of a run of zeros that begins and ends where pages of the file do

    @property
    def elements(self) -> int:
        """Number of elements of the shape."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimizer keeps for one parameter."""

    parameter: str  # "" where the file does not say which one it is
    key: str  # in the file: "3", or the name itself
    candidates: int = 1  # parameters that it may belong to; 0: nothing is known
    shape: tuple[int, ...] | None = None  # None: nothing of the parameter's shape is kept
    entries: tuple[str, ...] = ()  # "exp_avg", "exp_avg_sq", "step"
    step: float | None = None
    second_moment: float | None = None  # mean over the elements of Adam's exp_avg_sq
    second_moment_largest: float | None = None


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter group of an optimizer, as it was saved."""

    index: int
    label: str = ""
    parameters: tuple[str, ...]  # names, or keys such as "#3" where they are not known
    lr: float | None = None
    initial_lr: float | None = None  # the base of a schedule that was attached
    weight_decay: float | None = None


class OptimizerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one optimizer."""

    path: str  # "optimizer_states[0]"
    kind: str = ""  # "Adam", by what it keeps
    groups: tuple[GroupFacts, ...]
    slots: tuple[Slot, ...]  # one for each parameter that has state
    names_from: str  # "the file", "order and shapes", or why they are not known
    is_certain: bool = True  # the file names every parameter, or its shape is unique in the model
    nbytes: int = 0

    @property
    def has_names(self) -> bool:
        """Whether every slot has a name, certain or possible."""
        return all(slot.parameter for slot in self.slots)

    @property
    def without_state(self) -> tuple[str, ...]:
        """Return the parameters of its groups for which it keeps nothing."""
        kept = {slot.parameter or f"#{slot.key}" for slot in self.slots}
        return tuple(name for group in self.groups for name in group.parameters if name not in kept)


class PartFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the file besides model and optimizer."""

    kind: str  # "scheduler", "scaler", "rng", "ema", "loop", "callback", "loader", "config"
    path: str  # in the file
    summary: str = ""  # "CosineAnnealingLR-like: last_epoch 12, lr 0.0003"


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """How far the training was."""

    name: str  # path in the file
    value: float


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    """A memory of embeddings that the model carries."""

    name: str
    shape: tuple[int, ...]
    pointer: int | None = None
    pointer_name: str = ""
    empty_rows: int | None = None  # rows that are all zero


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an exact resume needs and the file does not have."""

    what: str  # "scheduler"
    why: str  # what in the file shows that there was one, or what happens without it
    is_proved: bool  # the file itself shows that the training had it


class CheckpointFile(Evidence, frozen=True, kw_only=True):
    """One checkpoint, file or folder. Nothing in it was executed to say this."""

    obtained_by: ClassVar[str] = "a checkpoint file (`stepscope inspect`)"
    path: str
    format: str  # "torch", "safetensors, sharded"
    writer: str  # "Lightning 2.5.0", "PyTorch"
    nbytes: int
    files: int = 1
    tensors: tuple[TensorFacts, ...]
    optimizers: tuple[OptimizerFacts, ...] = ()
    parts: tuple[PartFacts, ...] = ()
    counters: tuple[Counter, ...] = ()
    banks: tuple[Bank, ...] = ()
    lacks: tuple[Lack, ...] = ()
    classes: tuple[str, ...] = ()  # globals that a pickle in it names

    @property
    def model(self) -> tuple[TensorFacts, ...]:
        """Return the tensors of the model itself."""
        return tuple(each for each in self.tensors if each.part == "model")

    @property
    def is_resumable(self) -> bool:
        """Whether it carries more than weights: an optimizer's state."""
        return bool(self.optimizers)


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the file that a resume brings back, and what stands against it."""

    name: str  # "logit_scale", "lr of group 0", "epoch"
    in_file: float
    against: float


class Comparison(Evidence, frozen=True, kw_only=True):
    """A checkpoint beside another one, a model or a configuration."""

    obtained_by: ClassVar[str] = "something to compare with (`inspect --against`)"
    against: str
    kind: str  # "file", "model" or "configuration"
    matched: int = 0  # tensors of equal name and shape
    total: int = 0  # tensors that the other has
    matched_bytes: int = 0
    total_bytes: int = 0
    missing: tuple[str, ...] = ()  # the other has them
    unexpected: tuple[str, ...] = ()  # only the file has them
    mismatched: tuple[str, ...] = ()  # "head.weight: (80, 8) in the file, (1, 8) in the model"
    repair: str = ""  # "strip 'module.'"
    repaired: int = 0  # tensors that would match with it
    identical: tuple[str, ...] = ()  # bit for bit
    differing: tuple[str, ...] = ()
    brought: tuple[Brought, ...] = ()
    unread: tuple[str, ...] = ()  # keys of a configuration that nothing in the file answers to


class Taint(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one checkpoint and one finding."""

    path: str
    is_tainted: bool
    confidence: str  # "certain", "likely", "possible"; of the negative answer too
    reasons: tuple[str, ...]


class Taints(Evidence, frozen=True, kw_only=True):
    """The checkpoints of a folder, judged against a known defect."""

    obtained_by: ClassVar[str] = "a folder of checkpoints and a finding (`inspect --tainted-by`)"
    folder: str
    codes: tuple[str, ...]
    checkpoints: tuple[Taint, ...]
    unreadable: tuple[str, ...] = ()  # "last.ckpt: the zip archive ends ..."
