"""The tensors a model trains, and their bits before and after each recorded step."""

import functools
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place
from stepscope.evidence.below import Below


def is_below(name: str, module: str) -> bool:
    """Tell whether a qualified name is that of the module itself, or of something below it."""
    return not module or name == module or name.startswith(f"{module}.")


def ancestors(name: str) -> Iterator[str]:
    """Yield the qualified names above this one, from the nearest to the root, which is ""."""
    while name:
        name = name.rpartition(".")[0]
        yield name


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One `nn.Parameter` (or plain leaf tensor in an optimizer), named by its module.

    `before`, `after`, `requires_grad` and `values` have one entry for each recorded step from
    `first_step` on, the first that saw the tensor whole. A fingerprint is a weighted sum of the raw
    bits as 64-bit words: equal bits give equal sums, so a changed sum proves a changed value.
    `spacing` and `share_changed` are read from at most 1024 evenly spread elements.
    """

    name: str  # qualified, as in `model.named_parameters()`
    owner: str  # qualified name of the module that holds it; "" where no module does
    shape: tuple[int, ...]
    dtype: str  # "float32"
    nbytes: int
    first_step: int = 0  # that the first entries below belong to
    requires_grad: tuple[bool, ...]
    before: tuple[int, ...]  # fingerprint when the step's forward began
    after: tuple[int, ...]  # fingerprint when the optimizer had stepped
    stepped: tuple[bool, ...] = ()  # optimizer.step itself moved it while it was frozen
    values: tuple[float, ...] = ()  # of a single-element parameter, after each step
    spacing: float = 0.0  # smallest distance to the next number of its dtype, over its elements
    coarsest: float = 0.0  # the largest such distance, read from all elements
    share_changed: float | None = None  # of sampled elements, first to last step; half precision
    in_module: bool = True  # False: a leaf that no live module holds
    replaced: bool = False  # the program put another tensor in its place while it was recorded
    aliases: tuple[str, ...] = ()  # other qualified names of the same tensor (tied weights)

    @property
    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def ever_changed(self) -> bool:
        """Whether any bit was seen to change, within a step or between two."""
        return len({*self.before, *self.after}) > 1

    @property
    def trainable(self) -> bool:
        """Whether it required a gradient at every recorded step."""
        return all(self.requires_grad)

    @property
    def frozen(self) -> bool:
        """Whether it required a gradient at no recorded step."""
        return not any(self.requires_grad)


class Parameters(Evidence, frozen=True, kw_only=True, dict=True):  # dict: for what is cached
    """All parameters of the live modules and of the optimizers."""

    obtained_by: ClassVar[str] = "an optimizer step"
    parameters: tuple[Parameter, ...]

    def named(self, name: str) -> Parameter | None:
        """Return the parameter with this qualified name."""
        return self._by_name.get(name)

    @functools.cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {each.name: each for each in reversed(self.parameters)}  # of several, the first

    @functools.cached_property
    def moved(self) -> frozenset[str]:
        """Names of those that changed, or that the program replaced."""
        return frozenset(p.name for p in self.parameters if p.ever_changed or p.replaced)

    def below(self, module: str) -> tuple[Parameter, ...]:
        """Return the parameters of this module and of all modules below it."""
        return tuple(self.parameters[i] for i in self._below.positions(module))

    @functools.cached_property
    def _below(self) -> Below:
        return Below(each.name for each in self.parameters)


class Buffer(msgspec.Struct, frozen=True, kw_only=True):
    """One registered buffer; fingerprints as for parameters."""

    name: str
    owner: str
    shape: tuple[int, ...]
    dtype: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    largest_move: float = 0.0  # max |last - first| over elements, for the normalisation statistics

    @property
    def ever_changed(self) -> bool:
        """Whether any bit was seen to change."""
        return len({*self.before, *self.after}) > 1


class Buffers(Evidence, frozen=True, kw_only=True):
    """All buffers of the live modules."""

    obtained_by: ClassVar[str] = "an optimizer step"
    buffers: tuple[Buffer, ...]


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Something other than an optimizer wrote into a parameter."""

    parameter: str
    operation: str  # "copy_", "lerp_", "normal_", "data =", "load_state_dict"
    from_parameters: bool  # the new value was computed from other parameters (an EMA)
    at: Place


class ParameterWrites(Evidence, frozen=True, kw_only=True):
    """Writes into parameters outside optimizer steps, from the first load or step on."""

    obtained_by: ClassVar[str] = "the operations around the recorded steps"
    writes: tuple[Write, ...]
