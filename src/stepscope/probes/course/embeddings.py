"""Looks into contrastive losses: whether their embeddings still differ."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, linalg
from torch.nn import functional

from stepscope.core import Place
from stepscope.evidence.course.embeddings import ContrastFound
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.similarity_graph import product_above
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "embedding"
SIDES = ("left", "right")
ROWS, FEWEST = 1024, 4  # that are read
MOST = 8  # lines with a contrastive loss


class EmbeddingSampler(Sampler):
    """Looks at a few steps at the operands that the graph of a loss keeps."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._lookout = Lookout(run, type(self).__name__)
        self._step = -1
        self._is_due = False
        self._names: dict[Place, str] = {}
        self._looked: set[str] = set()  # lines, in this step
        run.patch(functional, "cross_entropy", self._around)

    def _around(self, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        signature = inspect.signature(loss)

        def observed(*args: Any, **kwargs: Any) -> Tensor:
            value = loss(*args, **kwargs)
            if self.notes.is_sampled and self._lookout.is_open() and self._may_look():
                with self._lookout.looking():
                    logits = signature.bind(*args, **kwargs).arguments["input"]
                    if isinstance(logits, Tensor) and logits.grad_fn is not None:
                        self._look(logits)
            return value

        return observed

    def _may_look(self) -> bool:
        if self._step != self.run.step:
            self._step = self.run.step
            self._is_due = self._rarely.is_due()
            self._looked.clear()
        return self._is_due

    def _look(self, logits: Tensor) -> None:
        product = product_above(logits)
        if product is None or not product.operands:
            return
        at = running_line(PROGRAM)
        name = self._names.get(at)
        if name is None:
            if len(self._names) == MOST:
                return
            name = self._names[at] = str(len(self._names) + 1)
            self.notes.happen(ContrastFound(name=name, at=at))
        if name in self._looked:
            return
        self._looked.add(name)
        for side, operand in zip(SIDES, product.operands, strict=False):
            rows = operand[:ROWS].float()
            if len(rows) >= FEWEST:
                self.notes.number(SUBJECT, f"{name} {side}", _mean_cosine(rows))


def _mean_cosine(rows: Tensor) -> Tensor:
    """Return the mean cosine over all pairs of different rows (N, D), without the N x N of them."""
    unit = rows / linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-12)
    count = len(unit)
    total: Tensor = unit.sum(0).square().sum() - unit.square().sum()
    return total / (count * (count - 1))
