"""Joins what single backwards showed into one history for each term."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from stepscope.core import Place
from stepscope.evidence.loss_terms import DanglingLoss, LossTerm, LossTerms, LostLoss


@dataclass(slots=True)
class Seen:
    """One term in one backward."""

    name: str
    named: bool
    weight: float | None
    number: Tensor | None
    differentiable: bool
    at: Place
    total: Place
    feeds_from: tuple[str, ...] = ()
    share: float | None = None
    share_on: str = ""


@dataclass(slots=True)
class Dangling:
    """A loss that a module handed out."""

    name: str
    module: str
    number: Tensor
    at: Place
    reached: bool = False


@dataclass(slots=True)
class _Term:
    first: Seen
    weights: list[float | None] = field(default_factory=list)
    values: dict[int, list[float]] = field(default_factory=dict)
    share: float | None = None
    share_on: str = ""


class Terms:
    """All terms of the recorded steps."""

    def __init__(self) -> None:
        self.read: dict[str, None] = {}  # names under which a loss was handed out
        self.reached: dict[str, None] = {}  # names that a backward reached
        self.backwards = 0
        self._terms: dict[tuple[object, ...], _Term] = {}
        self._handed_out: dict[tuple[str, str], tuple[Dangling, float]] = {}
        self._lost: dict[tuple[str, str], LostLoss] = {}
        self._steps = 0

    def add(
        self,
        step: int,
        backwards: list[tuple[list[Seen], float | None]],
        handed_out: Iterable[Dangling],
    ) -> None:
        """Take in one step. Reads all its numbers: the one wait for the device."""
        self._steps = step + 1
        self.backwards += len(backwards)
        losses = list(handed_out)
        numbers = _read(
            [s.number for seen, _ in backwards for s in seen] + [d.number for d in losses]
        )
        for seen, top in backwards:
            # a division by the number of backwards is accumulation, not a weight
            share = 0.0 if top is None else top * len(backwards)
            accumulated = len(backwards) > 1 and math.isclose(share, 1, rel_tol=1e-5)
            alike: Counter[tuple[object, ...]] = Counter()
            for each in seen:
                key = (each.name, each.at, each.differentiable, each.total)
                alike[key] += 1  # one line may give several terms
                self._take(
                    (*key, alike[key]),
                    step,
                    each,
                    next(numbers),
                    top if accumulated and top else 1.0,
                )
        for loss in losses:
            value = next(numbers)
            known = self._handed_out.setdefault(
                (loss.name, loss.module), (loss, math.nan if value is None else value)
            )
            known[0].reached |= loss.reached
            if value is not None and not math.isfinite(value) and not loss.reached:
                self._lose(loss, value, step)

    def _lose(self, loss: Dangling, value: float, step: int) -> None:
        lost = LostLoss(name=loss.name, module=loss.module, value=value, step=step, at=loss.at)
        self._lost.setdefault((loss.name, loss.module), lost)

    def _take(
        self,
        key: tuple[object, ...],
        step: int,
        each: Seen,
        number: float | None,
        shared_factor: float,
    ) -> None:
        term = self._terms.setdefault(key, _Term(each))
        term.weights.append(
            None if each.weight is None else float(f"{each.weight / shared_factor:.6g}")
        )
        if number is not None:
            term.values.setdefault(step, []).append(number)
        if each.share is not None:
            term.share, term.share_on = each.share, each.share_on

    def evidence(self) -> LossTerms:
        """Return everything as facts."""
        for dangling, _ in self._handed_out.values():
            dangling.reached |= dangling.name in self.reached
        return LossTerms(
            terms=tuple(self._frozen(term) for term in self._terms.values()),
            dangling=tuple(
                DanglingLoss(name=d.name, module=d.module, value=value, at=d.at)
                for d, value in self._handed_out.values()
                if not d.reached
            ),
            lost=tuple(self._lost.values()),
            values_read=tuple(self.read),
            reached=tuple(self.reached),
        )

    def _frozen(self, term: _Term) -> LossTerm:
        weights = set(term.weights)
        means = [
            sum(v) / len(v) if (v := term.values.get(step)) else None for step in range(self._steps)
        ]
        return LossTerm(
            name=term.first.name,
            named_by_model=term.first.named,
            weight=weights.pop() if len(weights) == 1 else None,
            values=tuple(means),
            differentiable=term.first.differentiable,
            feeds_from=term.first.feeds_from,
            gradient_share=term.share,
            share_on=term.share_on,
            at=term.first.at,
            total=term.first.total,
        )


def _read(numbers: list[Tensor | None]) -> Iterator[float | None]:
    """Bring numbers from their devices, one wait for each device."""
    found: dict[int, float] = {}
    present = [
        (index, tensor)
        for index, tensor in enumerate(numbers)
        if tensor is not None and not tensor.is_meta
    ]
    for device in {tensor.device for _, tensor in present}:
        here = [(index, tensor) for index, tensor in present if tensor.device == device]
        read = torch.stack([tensor.detach().float().reshape(()) for _, tensor in here]).tolist()
        found.update(zip((index for index, _ in here), read, strict=True))
    return iter([found.get(index) for index in range(len(numbers))])
