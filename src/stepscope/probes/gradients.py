"""What each parameter's gradient was when a step used it, and which backward brought it."""

import weakref
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import torch

from stepscope.core import Place
from stepscope.evidence.gradients import BackwardRoot, BackwardRoots, Gradient, Gradients
from stepscope.probes.backward_graph import leaves_below
from stepscope.probes.gradient_norms import Size, read_together
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line

Tensors = dict[int, torch.Tensor]  # by id(): a tensor compares by value


@dataclass(frozen=True, slots=True)
class Trained:
    """The parameters of all live roots, and what else the optimizers hold, at one moment."""

    tensors: Tensors
    names: dict[int, str]  # as the evidence gives them
    in_modules: frozenset[int]
    in_trained_roots: frozenset[int]  # an optimizer holds some parameter of their root


def find_trained(run: LiveRun) -> Trained:
    """Look at all live roots and optimizers."""
    held = run.held
    tensors: Tensors = {}
    in_trained_roots: set[int] = set()
    for root in run.names.roots():
        below = {id(tensor): tensor for tensor in root.parameters()}
        tensors.update(below)
        if not held.keys().isdisjoint(below):
            in_trained_roots.update(below)
    in_modules = frozenset(tensors)
    tensors.update(held)
    names = {key: run.names.tensor(tensor) for key, tensor in tensors.items()}
    for key in held.keys() - in_modules:
        if names[key] in {names[other] for other in in_modules}:
            names[key] += " (replaced)"  # its successor bears the name now
    return Trained(tensors, names, in_modules, frozenset(in_trained_roots))


@dataclass(slots=True)
class _Row:
    tensor: weakref.ref[torch.Tensor]
    name: str = ""
    sizes: dict[int, Size] = field(default_factory=dict)  # by step
    reached: set[int] = field(default_factory=set)  # steps
    nbytes: int = 0
    in_trained_root: bool = False


class GradientHistory:
    """One row for each parameter, with an entry for each step."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._rows: dict[int, _Row] = {}
        self._dead: list[_Row] = []  # whose id a newer tensor has taken

    def read(self, trained: Trained) -> dict[int, Size]:
        """Measure every gradient there is, by `id` of its parameter."""
        read = zip(
            trained.tensors, self._run.gradient_sizes(list(trained.tensors.values())), strict=True
        )
        return {key: size for key, size in read if size is not None}

    def keep(
        self, trained: Trained, found: dict[int, Size], reached: AbstractSet[int], scale: float
    ) -> None:
        """Enter what was read as the gradients of the present step, divided by `scale`."""
        step = self._run.step
        for key, tensor in trained.tensors.items():
            if not (tensor.requires_grad or key in found):
                continue
            row = self._row(tensor)
            row.name = trained.names[key]
            row.in_trained_root = key in trained.in_trained_roots or key not in trained.in_modules
            if key in found:
                norm, largest = found[key]
                row.sizes[step] = Size((norm / scale, largest / scale))
                row.nbytes = max(row.nbytes, _nbytes(tensor.grad))
            if key in reached:
                row.reached.add(step)

    def _row(self, tensor: torch.Tensor) -> _Row:
        row = self._rows.get(id(tensor))
        if row is not None and row.tensor() is not tensor:
            self._dead.append(row)
            row = None
        if row is None:
            row = self._rows[id(tensor)] = _Row(weakref.ref(tensor))
        return row

    def evidence(self) -> Gradients:
        """Say what was entered."""
        steps = range(self._run.step)
        return Gradients(
            gradients=tuple(
                Gradient(
                    parameter=row.name,
                    norms=tuple(s.norm if (s := row.sizes.get(i)) else None for i in steps),
                    largest=tuple(s.largest if (s := row.sizes.get(i)) else None for i in steps),
                    nbytes=row.nbytes,
                    reached=tuple(i in row.reached for i in steps),
                    in_trained_root=row.in_trained_root,
                )
                for row in (*self._dead, *self._rows.values())
            )
        )


@dataclass(slots=True)
class _Root:
    step: int
    value: torch.Tensor | None  # a copy of the single element; read when a step waits anyway
    scale: torch.Tensor | None
    shape: tuple[int, ...]
    reached: int
    at: Place


class BackwardHistory:
    """The backward calls, and which parameters each of them reaches."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._roots: list[_Root] = []
        self._read: list[BackwardRoot] = []
        self._walked: set[int] = set()
        self._before: dict[int, tuple[int, int]] = {}
        self._scale: torch.Tensor | None = None  # of the last `GradScaler.scale`
        run.patch(torch.amp.GradScaler, "scale", self._around_scale)

    def _around_scale(self, scale: Any) -> Any:
        def observed(scaler: torch.amp.GradScaler, outputs: Any) -> Any:
            scaled = scale(scaler, outputs)
            if not self._run.looking and scaler.is_enabled():
                factor = scaler._get_scale_async()
                self._scale = None if factor is None else factor.detach().clone()
            return scaled

        return observed

    def called(self, roots: tuple[torch.Tensor, ...], tensors: Tensors) -> None:
        """Walk the graph while it is whole."""
        held = self._run.held.keys()
        self._walked.clear()
        at = running_line(PROGRAM)
        for root in roots:
            below = {id(leaf) for leaf in leaves_below(root)}
            self._walked |= below
            single = root.numel() == 1 and root.is_floating_point() and not root.is_meta
            self._roots.append(
                _Root(
                    step=self._run.step,
                    value=root.detach().to(torch.float32, copy=True) if single else None,
                    scale=self._scale,
                    shape=tuple(root.shape),
                    reached=len(below & held),
                    at=at,
                )
            )
        self._scale = None
        self._before = {key: _state(tensor) for key, tensor in tensors.items()}

    def returned(self, tensors: Tensors) -> set[int]:
        """Return the ids of the tensors that were reached: by the graph, or by what they hold now.

        A gradient that appeared or changed shows what a re-entrant checkpoint hides.
        """
        nothing = (0, 0)
        touched = {
            key
            for key, tensor in tensors.items()
            if tensor.grad is not None and _state(tensor) != self._before.get(key, nothing)
        }
        self._before.clear()
        return self._walked | touched

    def read(self) -> None:
        """Read the values of the roots so far."""
        single = [n for root in self._roots for n in (root.value, root.scale) if n is not None]
        numbers = iter(read_together(single))
        for root in self._roots:
            value = None if root.value is None else next(numbers)
            scale = 1.0 if root.scale is None else next(numbers)
            self._read.append(
                BackwardRoot(
                    step=root.step,
                    value=None if value is None else value / scale,
                    scaled_by=scale,
                    shape=root.shape,
                    reached=root.reached,
                    at=root.at,
                )
            )
        self._roots.clear()

    def evidence(self) -> Iterator[BackwardRoots]:
        """Say what was read, where there was any backward."""
        self.read()
        if self._read:
            yield BackwardRoots(roots=tuple(self._read))


def _state(tensor: torch.Tensor) -> tuple[int, int]:
    gradient = tensor.grad
    return (0, 0) if gradient is None else (id(gradient), gradient._version)


def _nbytes(gradient: torch.Tensor | None) -> int:
    if gradient is None:
        return 0
    if gradient.is_sparse:
        return gradient._values().nbytes + gradient._indices().nbytes
    return gradient.numel() * gradient.element_size()
