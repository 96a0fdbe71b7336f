"""The bits that are to stay, from the step at which they were frozen."""

from collections.abc import Iterable
from dataclasses import dataclass

from stepscope.evidence.freezing import FrozenTensor
from stepscope.freezing.proof.tensors import Held, bits


@dataclass(frozen=True, slots=True)
class _Beginning:
    step: int
    number: int


class Holding:
    """Frozen tensors with the fingerprint of their beginning. No tensor is kept."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._first: dict[str, _Beginning] = {}
        self._let_go: list[FrozenTensor] = []

    @property
    def names(self) -> frozenset[str]:
        """Names of what is held now."""
        return frozenset(self._held)

    @property
    def held(self) -> list[Held]:
        """What is held now, in the order of the model."""
        return [*self._held.values()]

    def take(self, held: Iterable[Held], step: int) -> None:
        """Hold more, by the bits of this moment. What has no bits to read is left out."""
        new = [*held]
        for each, number in zip(new, bits([each.tensor for each in new]), strict=True):
            if number is not None:
                self._held[each.name] = each
                self._first[each.name] = _Beginning(step, number)

    def changed(self) -> list[Held]:
        """Return what has other bits now than at its beginning. Waits once for each device."""
        numbers = zip(self._held.values(), self._now(), strict=True)
        return [each for each, number in numbers if number != self._first[each.name].number]

    def let_go(self, names: Iterable[str], step: int) -> None:
        """Write down the last bits of some, and hold them no longer."""
        leaving = [self._held.pop(name) for name in names]
        numbers = bits([each.tensor for each in leaving])
        self._let_go += map(self._fact, leaving, numbers, [step] * len(leaving))

    def facts(self, step: int) -> tuple[FrozenTensor, ...]:
        """Return the beginning and end of all that is or was held."""
        present = map(self._fact, self._held.values(), self._now(), [step] * len(self._held))
        return (*self._let_go, *present)

    def _now(self) -> list[int | None]:
        return bits([each.tensor for each in self._held.values()])

    def _fact(self, held: Held, number: int | None, step: int) -> FrozenTensor:
        tensor = held.tensor
        return FrozenTensor(
            name=held.name,
            is_buffer=held.is_buffer,
            shape=() if tensor is None else tuple(tensor.shape),
            dtype="" if tensor is None else str(tensor.dtype).removeprefix("torch."),
            since_step=self._first[held.name].step,
            until_step=step,
            before=self._first[held.name].number,
            after=number,
        )
