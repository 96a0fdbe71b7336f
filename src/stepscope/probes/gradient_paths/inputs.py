"""Which inputs of the model the losses depend on."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from stepscope.evidence.gradient_paths import InputPath
from stepscope.probes.gradient_paths.flow import above
from stepscope.probes.values import Value, escapes, inputs


@dataclass(slots=True)
class _Input:
    shape: tuple[int, ...]
    trained: bool
    reaches: bool = False


class Inputs:
    """The inputs by name, over all steps."""

    def __init__(self) -> None:
        self._known: dict[str, _Input] = {}

    def look(self, roots: Iterable[Value], held: AbstractSet[int], *, sure: bool) -> None:
        """See what the roots of a backward depend on, through whole numbers too.

        `held` is the `id` of every parameter that an optimizer holds. Where something could not be
        followed, every input may have gone that way.
        """
        reached = above(roots, floating=False)
        left = above((escape.value for escape in escapes()), floating=False)
        for value in inputs():
            known = self._known.get(value.leaf)
            if known is None:
                known = self._known[value.leaf] = _Input(value.shape, _is_trained(value, held))
            known.reaches |= not sure or value in reached or value in left

    def evidence(self) -> tuple[InputPath, ...]:
        """Say which inputs of trained roots reach a loss."""
        return tuple(
            InputPath(name=name, shape=known.shape, reaches_loss=known.reaches)
            for name, known in self._known.items()
            if known.trained
        )


def _is_trained(value: Value, held: AbstractSet[int]) -> bool:
    root = value.owner() if value.owner is not None else None
    return root is not None and any(id(parameter) in held for parameter in root.parameters())
