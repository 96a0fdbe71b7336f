"""Collects, over the recorded steps, what reaches the losses and where gradients end."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.core import Evidence, Place
from stepscope.evidence.gradient_paths import (
    Amplification,
    Checkpointed,
    Cut,
    CutKind,
    CutRole,
    GradientPaths,
)
from stepscope.probes.backward_graph import leaves_below
from stepscope.probes.gradient_paths.amplifications import AmplificationSeen, find_amplifications
from stepscope.probes.gradient_paths.cuts import (
    CutSeen,
    Key,
    Owner,
    checkpoints_without_gradient,
    find_cuts,
    line_of,
)
from stepscope.probes.gradient_paths.flow import (
    Flow,
    above,
    goes_unseen,
    parameters_among,
)
from stepscope.probes.gradient_paths.inputs import Inputs
from stepscope.probes.gradient_paths.proving import Asked, Prover
from stepscope.probes.gradient_paths.zeroed import zeroed
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import place_of
from stepscope.probes.values import Line, escapes, value_of

_MOST_ESCAPES = 50  # lines


class GradientPathsProbe(Probe):
    """Compares value flow and autograd's graph at each backward, and keeps only the outcome.

    Parameters are kept by `id` and name: they may be gone when the recording ends.
    """

    def __init__(self, run: LiveRun, prover: Prover | None = None) -> None:
        super().__init__(run)
        self._prover = prover
        self._asked = Asked(run, prover)
        self._cuts: dict[Key, CutSeen] = {}
        self._amplifications: dict[Line | None, AmplificationSeen] = {}
        self._checkpoints: dict[Line | None, tuple[str, set[int]]] = {}
        self._inputs = Inputs()
        self._reached: set[int] = set()
        self._used: set[int] = set()
        self._zeroed: set[int] = set()
        self._not_zeroed: set[int] = set()
        self._trained: dict[int, str] = {}  # parameters of optimizers that stepped, with names
        self._before: list[tuple[Tensor, Tensor | None, int]] = []  # during a backward only
        self._operations = 0
        self._backwards = 0

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Let the prover take hold of the inputs it asked for."""
        if self._prover is not None:
            self._prover.module_called(module, args, kwargs)

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Let the prover listen for the gradient of the output."""
        if self._prover is not None:
            self._prover.module_returned(module, output)

    def backward_called(self, roots: tuple[Tensor, ...]) -> None:
        """Walk both graphs while they are whole."""
        self._backwards += 1
        self._reached.update(id(leaf) for root in roots for leaf in leaves_below(root))
        held = self.run.held
        self._before = [
            (p, p.grad, p.grad._version if p.grad is not None else 0)
            for key, p in held.items()
            if key not in self._reached and p.requires_grad
        ]
        values = [value for root in roots if (value := value_of(root)) is not None]
        if not values:
            return
        flow = Flow(values)
        self._operations += len(flow.seen)
        self._look_at_cuts(flow, held.keys())
        zero, others = zeroed(flow, values)
        self._zeroed |= zero
        self._not_zeroed |= others
        for found in find_amplifications(flow):
            if found.line not in self._amplifications:
                found.module = self._name(found.owner)
                self._amplifications[found.line] = found
        for value in checkpoints_without_gradient(flow.seen):
            known = self._checkpoints.setdefault(line_of(value), (self._name(value.owner), set()))
            known[1].update(parameters_among(value.lost))
        self._inputs.look(values, flow.seen, held.keys(), sure=not goes_unseen(flow.seen))

    def _look_at_cuts(self, flow: Flow, held: AbstractSet[int]) -> None:
        for key, found in [*find_cuts(flow), *_escapes(self.run.step)]:
            if found.upstream.isdisjoint(held):
                continue  # a teacher, or a frozen part
            known = self._cuts.get(key)
            if known is None:
                found.module = self._name(found.owner)
                self._cuts[key] = found
            else:
                known.join(found)

    def backward_returned(self, roots: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        """See which gradients came that the graph did not show; ask for proofs."""
        for parameter, gradient, version in self._before:
            now = parameter.grad
            if now is not None and (now is not gradient or now._version != version):
                self._reached.add(id(parameter))
        self._before = []
        self._inputs.backward_returned(self.run.step)
        if self._prover is None:
            return
        self._prover.backward_returned()
        for key, cut in self._cuts.items():
            if cut.kind is CutKind.NO_GRAD and cut.role is CutRole.FEATURE:
                self._asked.ask(key, cut.around)
        for line, amplification in self._amplifications.items():
            self._asked.ask(("amplification", line), amplification.around)

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Note what is trained; what the program put into `.grad` itself counts as reached."""
        for parameter in _held(optimizer):
            key = id(parameter)
            if not (parameter.requires_grad and parameter.numel()):
                continue  # the second: none of it lies on this rank
            self._trained[key] = self.run.names.tensor(parameter)
            if key in self._reached:
                continue
            value = value_of(parameter)
            if value is not None and value.owner is not None:
                self._used.add(key)
            gradient = parameter.grad
            if gradient is not None and (gradient.is_sparse or bool(gradient.count_nonzero())):
                self._reached.add(key)

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Let the prover go of what no backward followed."""
        if self._prover is not None:
            self._prover.step_returned()

    def evidence(self) -> Iterator[Evidence]:
        """Name everything, now that all is seen."""
        if not self._backwards or not self._trained:
            return
        dead = self._trained.keys() - self._reached
        cuts = [self._cut(key, seen, dead) for key, seen in self._cuts.items()]
        yield GradientPaths(
            unreached=self._named(dead),
            used=self._named(dead & self._used),
            cuts=tuple(cut for cut in cuts if cut is not None),
            amplifications=tuple(map(self._amplification, self._amplifications.values())),
            checkpointed=tuple(
                Checkpointed(module=module, parameters=self._named(inside & dead), at=_place(line))
                for line, (module, inside) in self._checkpoints.items()
                if inside & dead
            ),
            inputs=self._inputs.evidence(),
            zeroed=self._named(self._zeroed - self._not_zeroed),
            operations=self._operations,
        )

    def _cut(self, key: Key, seen: CutSeen, dead: AbstractSet[int]) -> Cut | None:
        feeds_from = seen.upstream & self._trained.keys()
        if not feeds_from or (seen.kind is CutKind.ESCAPE and not feeds_from & dead):
            return None
        proof, reason = self._asked.answer(key)
        return Cut(
            kind=seen.kind,
            role=seen.role,
            operation=seen.operation,
            at=_place(seen.line),
            region=_place(seen.region) if seen.region is not None else None,
            enters=tuple(_place(line) for line in seen.enters[:3]),
            module=seen.module,
            feeds_from=self._named(feeds_from),
            dead=self._named(feeds_from & dead),
            steps=len(seen.steps),
            modules=max(1, len(seen.owners)),
            inside=self._named(seen.inside & self._trained.keys()),
            proof=proof,
            not_proved=reason,
        )

    def _amplification(self, seen: AmplificationSeen) -> Amplification:
        proof, reason = self._asked.answer(("amplification", seen.line))
        return Amplification(
            constant=seen.constant,
            operation=seen.operation,
            at=_place(seen.line),
            module=seen.module,
            surrogate_at=_place(seen.surrogate_line),
            proof=proof,
            not_proved=reason,
        )

    def _named(self, keys: AbstractSet[int]) -> tuple[str, ...]:
        return tuple(name for key, name in self._trained.items() if key in keys)

    def _name(self, owner: Owner) -> str:
        module = owner() if owner is not None else None
        return self.run.names.module(module) if module is not None else ""


def _escapes(step: int) -> Iterator[tuple[Key, CutSeen]]:
    lines: set[Line | None] = set()
    for escape in escapes():
        if not escape.in_forward or not escape.value.floating or escape.line in lines:
            continue
        lines.add(escape.line)
        if len(lines) > _MOST_ESCAPES:
            return
        upstream = parameters_among(above([escape.value]))
        if upstream:
            yield (
                (CutKind.ESCAPE, escape.line),
                CutSeen(
                    kind=CutKind.ESCAPE,
                    role=CutRole.FEATURE,
                    operation=escape.operation,
                    line=escape.line,
                    region=None,
                    enters=(),
                    owner=escape.owner,
                    around=None,
                    upstream=upstream,
                    inside=set(),
                    steps={step},
                ),
            )


def _held(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _place(line: Line | None) -> Place:
    return place_of(*line) if line is not None else Place()
