"""What becomes of the embeddings that a module keeps in a buffer."""

import re
import weakref
from collections.abc import Iterator

import torch
from torch import Tensor

from stepscope.evidence.course.banks import (
    KEPT,
    LONGEST,
    SAMPLED,
    SHORTEST,
    TWINS,
    WRITTEN,
    BankFound,
)
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun

SUBJECT = "bank"
CALLED = re.compile(r"(^|_)(queue|bank|memory|mem|negatives)(_|$|\d)")
FEWEST = 16  # entries; a smaller one is no bank
TOLD_BY = 8  # numbers of an entry: embeddings that agree in all of them are the same
MOST = 8  # banks in a run


class _Bank:
    """A buffer under watch. The buffer itself may be another tensor after each step."""

    def __init__(self, module: torch.nn.Module, key: str, shape: torch.Size) -> None:
        self.module = weakref.ref(module)
        self.key = key
        self.shape = shape
        self.first: Tensor | None = None  # what tells its entries, at the first look
        self.last: Tensor | None = None

    def entries(self) -> Tensor | None:
        """Return its entries as rows; None where it is gone, or has changed its shape."""
        module = self.module()
        buffer = None if module is None else module._buffers.get(self.key)
        if buffer is None or buffer.shape != self.shape or buffer.is_meta:
            return None
        return buffer.detach() if self.shape[0] >= self.shape[1] else buffer.detach().T


class BankSampler(Sampler):
    """Looks at a few steps, once these are over."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._models = Models(run)
        self._arrivals = Arrivals()
        self._banks: dict[str, _Bank] = {}

    def step_over(self) -> None:
        """Look, when it is time to."""
        self._arrivals.hand_on()
        if self._rarely.is_due():
            for root in self._models.roots():
                for module in root.modules():
                    self._find(module)
            self._look()

    def ended(self) -> None:
        """Look once more, where the banks are still there."""
        self._look()
        self._arrivals.hand_on(wait=True)

    def _find(self, module: torch.nn.Module) -> None:
        for key in _banks_of(module):
            owner = self.run.names.module(module)
            name = f"{owner}.{key}" if owner else key
            if name not in self._banks and len(self._banks) < MOST:
                buffer = module._buffers[key]
                assert buffer is not None, "found in this same moment"
                self._banks[name] = bank = _Bank(module, key, buffer.shape)
                self._found(name, bank)

    def _found(self, name: str, bank: _Bank) -> None:
        rows = bank.entries()
        if rows is None:
            return
        entries, size = rows.shape
        dtype = str(rows.dtype).removeprefix("torch.")
        sample = rows[:SAMPLED].double()
        norms = torch.linalg.vector_norm(sample, dim=1)
        unit = sample / norms.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(1)
        spread = 1 / (unit.T @ unit / len(unit)).square().sum().clamp_min(1e-12)

        def found(values: list[float]) -> None:
            self.notes.happen(
                BankFound(
                    name=name,
                    entries=entries,
                    size=size,
                    dtype=dtype,
                    spread=values[0] if values[1] > 0 else 1.0,
                    lower=values[1],
                    upper=values[2],
                )
            )

        quartiles = norms.sort().values[[len(norms) // 4, 3 * len(norms) // 4]]
        self._arrivals.ask([spread, *quartiles], found)

    def _look(self) -> None:
        for name, bank in self._banks.items():
            rows = bank.entries()
            if rows is None:
                continue
            told_by = _told_by(rows)
            if bank.first is None or bank.last is None:
                bank.first = bank.last = told_by
                continue
            kept = torch.isin(told_by, bank.first)
            norms = torch.linalg.vector_norm(rows.float(), dim=1)
            number = torch.arange(1, len(rows) + 1, device=rows.device)
            ordered = torch.where(kept, -number, told_by.abs()).sort().values
            same = ordered[1:] == ordered[:-1]
            twins = torch.cat([same, same[:0].new_zeros(1)]) | torch.cat(
                [same[:0].new_zeros(1), same]
            )
            count = (~kept).sum().clamp_min(1)
            measured = {
                KEPT: kept.double().mean(),
                WRITTEN: (~torch.isin(told_by, bank.last)).double().mean(),
                TWINS: twins.sum() / count,
                SHORTEST: torch.where(kept, norms.amax(), norms).amin(),
                LONGEST: torch.where(kept, norms.amin(), norms).amax(),
            }
            for what, value in measured.items():
                self.notes.number(SUBJECT, f"{name} {what}", value)
            bank.last = told_by


def keeps_bank(module: torch.nn.Module) -> bool:
    """Tell a module that keeps a bank of embeddings in a buffer."""
    return any(True for _ in _banks_of(module))


def _banks_of(module: torch.nn.Module) -> Iterator[str]:
    for key, buffer in module._buffers.items():
        if (
            buffer is not None
            and CALLED.search(key)
            and buffer.dim() == 2  # noqa: PLR2004 - entries, and numbers of each
            and buffer.is_floating_point()
            and not buffer.is_meta
            and max(buffer.shape) >= FEWEST
            and min(buffer.shape) > 1
        ):
            yield key


def _told_by(rows: Tensor) -> Tensor:
    """Return one whole number for each row, made of the bits of a few of its elements."""
    some = rows[:, :TOLD_BY].float().contiguous().view(torch.int32).long()
    weights = torch.arange(1, some.shape[1] + 1, device=rows.device) * 0x1E3779B97F4A7C15 | 1
    return (some * weights).sum(1)
