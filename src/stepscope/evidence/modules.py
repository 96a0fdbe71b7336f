"""The modules of the model, in which mode they ran, and who changed it."""

import functools
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place
from stepscope.evidence.below import Below


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One `nn.Module`. Per-step entries are for training forwards (those that lead to a step)."""

    name: str  # qualified; "" is the root
    kind: str  # class name: "BatchNorm2d"
    file: str = ""  # where the class's forward stands; "" for torch's own
    line: int = 0
    training: tuple[bool | None, ...]  # mode when it ran in the step; None: it did not run
    calls: int = 0  # forwards in the recorded steps
    empty_calls: int = 0  # of these, with an input of no elements
    drop: float = 0.0  # probability of a dropout or drop-path layer
    normalisation: bool = False  # it keeps running statistics
    shadowing: tuple[str, ...] = ()  # attributes that look like torch's: "requires_grad=False"
    of_library: bool = False  # its class is neither torch's nor the program's own

    @property
    def sensitive(self) -> bool:
        """Whether what it computes, or keeps, depends on its mode."""
        return self.drop > 0 or self.normalisation


class ModeCall(msgspec.Struct, frozen=True, kw_only=True):
    """An explicit call of `train()`, `eval()` or `requires_grad_()` on a module, outermost only."""

    module: str
    call: str  # "eval()", "train()", "requires_grad_(False)"
    at: Place  # `at.step`: optimizer steps taken before
    direct: bool = True  # the program itself called it, no library on its behalf


class Modules(Evidence, frozen=True, kw_only=True, dict=True):  # dict: for what is cached
    """All live modules below the roots that were trained, and the mode calls."""

    obtained_by: ClassVar[str] = "a module that an optimizer trains"
    modules: tuple[Module, ...]
    mode_calls: tuple[ModeCall, ...] = ()

    def named(self, name: str) -> Module | None:
        """Return the module with this qualified name."""
        return self._by_name.get(name)

    def below(self, name: str) -> tuple[Module, ...]:
        """Return this module and all modules below it."""
        return tuple(self.modules[i] for i in self._below.positions(name))

    @functools.cached_property
    def _by_name(self) -> dict[str, Module]:
        return {each.name: each for each in reversed(self.modules)}  # of several, the first

    @functools.cached_property
    def _below(self) -> Below:
        return Below(each.name for each in self.modules)


class EvaluationPass(msgspec.Struct, frozen=True, kw_only=True):
    """Forwards of a trained root without gradient, whose outputs reach no loss."""

    module: str
    training: bool  # mode of the root
    sensitive: tuple[
        str, ...
    ]  # modules below whose output depends on the mode and were in training
    other_loader: bool  # its batch came from another DataLoader than the training batches
    at: Place


class EvaluationPasses(Evidence, frozen=True, kw_only=True):
    """What was evaluated before or between the recorded steps."""

    obtained_by: ClassVar[str] = "a forward without gradient between the recorded steps"
    passes: tuple[EvaluationPass, ...]
