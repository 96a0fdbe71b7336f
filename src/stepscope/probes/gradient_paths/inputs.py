"""Which inputs of the model the losses depend on."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from stepscope.evidence.gradient_paths import InputPath
from stepscope.probes.gradient_paths.flow import above
from stepscope.probes.values import Value, escapes, inputs


@dataclass(slots=True)
class _Input:
    shape: tuple[int, ...]
    trained: bool
    reaches: bool = False
    largest: float = 0.0  # of the gradients where it enters
    steps: set[int] = field(default_factory=set)  # in which they were looked at
    unsure: bool = False  # some way of it was not looked at


class Inputs:
    """The inputs by name, over all steps."""

    def __init__(self) -> None:
        self._known: dict[str, _Input] = {}
        self._entries: list[tuple[Value, list[_Input]]] = []  # of the backward under way

    def look(
        self, roots: Iterable[Value], seen: Iterable[Value], held: AbstractSet[int], *, sure: bool
    ) -> None:
        """See what the roots of a backward depend on, through whole numbers too.

        `seen` is all that passes a derivative on to them, `held` the `id` of every parameter that
        an optimizer holds. Where something could not be followed, every input may have gone that
        way.
        """
        reached = above(roots, floating=False)
        left = above((escape.value for escape in escapes()), floating=False)
        for value in inputs():
            known = self._known.get(value.leaf)
            if known is None:
                known = self._known[value.leaf] = _Input(value.shape, _is_trained(value, held))
            known.reaches |= not sure or value in reached or value in left
            known.unsure |= not sure or value in left
        named = {value.inputs: self._known[value.leaf] for value in inputs()}
        self._entries = [
            (value, [known for bit, known in named.items() if bit & value.entered])
            for value in seen
            if value.entered
        ]

    def backward_returned(self, step: int) -> None:
        """Read the gradients that came to where the inputs enter."""
        for value, entered in self._entries:
            sizes = [abs(float(size)) for size in value.arrived]
            for known in entered:
                known.unsure |= not sizes
                known.largest = max([known.largest, *sizes])
                known.steps.add(step)
        self._entries = []

    def evidence(self) -> tuple[InputPath, ...]:
        """Say which inputs of trained roots reach a loss."""
        return tuple(
            InputPath(
                name=name,
                shape=known.shape,
                reaches_loss=known.reaches,
                gradient=known.largest if known.steps and not known.unsure else None,
                steps=len(known.steps),
            )
            for name, known in self._known.items()
            if known.trained
        )


def _is_trained(value: Value, held: AbstractSet[int]) -> bool:
    root = value.owner() if value.owner is not None else None
    return root is not None and any(id(parameter) in held for parameter in root.parameters())
