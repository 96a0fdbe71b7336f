"""Fingerprints of parameters, statistics and batches, for the ranks of a run to be compared."""

import os
import zlib
from typing import Any

import torch
from torch import distributed
from torch.optim import optimizer as optimizer_hooks

from stepscope.evidence.course.rank_marks import BATCH, PARAMETERS, STATISTICS, STEPS, mark_name
from stepscope.evidence.course.replicas import Replicated
from stepscope.probes.course.batch_marks import BatchMarks, joined
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.statistics_uses import StatisticsWatch
from stepscope.probes.course.wrappers import Wrapped, Wrappers, facts_of
from stepscope.probes.fingerprints import readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

SUBJECT = "rank"
MOST = 64  # parts of a model


class RankSampler(Sampler):
    """Takes marks after steps 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 ... of each optimizer.

    All ranks choose the same steps without asking each other. Not at the end of a run, when one
    rank may have put other weights in place. Where there is one process it does nothing.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._process = os.getpid()
        self._lookout = Lookout(run, type(self).__name__)
        self._wrappers = Wrappers(run)
        self._batches = BatchMarks(run)
        self._statistics = StatisticsWatch(run, notes)
        self._taken: dict[int, int] = {}  # by position of the optimizer
        self._concerned: dict[int, int] = {}  # those that hold wrapped parameters, in that order
        handle = optimizer_hooks.register_optimizer_step_post_hook(self._stepped)
        run.on_end(handle.remove)

    def _stepped(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if not distributed.is_initialized() or not self._lookout.is_open():
            return
        if distributed.get_world_size() == 1 or os.getpid() != self._process:
            self._batches.is_wanted = False
            return
        index = self.run.index(optimizer)
        taken = self._taken[index] = self._taken.get(index, 0) + 1
        self._statistics.stepped()
        if is_marked(taken):
            with self._lookout.looking():
                self._mark(optimizer, index)
        self._batches.is_wanted = any(is_marked(each + 1) for each in self._taken.values())

    def ended(self) -> None:
        """Note an evaluation that has just begun."""
        self._statistics.settle()

    def _mark(self, optimizer: torch.optim.Optimizer, index: int) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._wrappers.look()
        for wrapper in self._wrappers:
            together = {name: p for name, p in wrapper.parameters().items() if id(p) in held}
            if together and (facts := self._facts(wrapper)) is not None:
                self._mark_wrapper(wrapper, facts, together, index)

    def _facts(self, wrapper: Wrapped) -> Replicated | None:
        """Return what does not change of a wrapper, and note it the first time."""
        if not wrapper.is_known:
            wrapper.is_known = True
            facts = facts_of(wrapper, self.run)
            alike = (
                each.facts for each in self._wrappers if each.facts and not each.facts.keeps_copies
            )
            if facts and not facts.keeps_copies and any(facts.group == a.group for a in alike):
                return None  # shards of one model, of which one speaks for all
            wrapper.facts = facts
            if facts is not None:
                self.notes.happen(facts)
                self._statistics.watch(wrapper, facts.rank)
        return wrapper.facts

    def _mark_wrapper(
        self, wrapper: Wrapped, facts: Replicated, held: dict[str, torch.Tensor], index: int
    ) -> None:
        order = self._concerned.setdefault(index, len(self._concerned))
        self.notes.number(SUBJECT, mark_name(order, STEPS), self._taken[index])
        if self._batches.last is not None:
            self.notes.number(SUBJECT, mark_name(order, BATCH), self._batches.last)
        if facts.keeps_copies:
            self._note(order, PARAMETERS, wrapper, held)
        if wrapper.has_own_statistics():
            named = {
                f"{name}.{of_layer}" if name else of_layer: tensor
                for name, layer in wrapper.layers().items()
                for of_layer, tensor in layer.named_buffers(recurse=False)
                if tensor.is_floating_point()
            }
            self._note(order, STATISTICS, wrapper, named)

    def _note(
        self, order: int, what: str, wrapper: Wrapped, named: dict[str, torch.Tensor]
    ) -> None:
        plain = {
            name: each for name, tensor in named.items() if (each := readable(tensor)) is not None
        }
        together: dict[str, list[str]] = {}
        for name, part in parts(list(plain)).items():
            together.setdefault(part, []).append(name)
        for part, members in together.items():
            same = zlib.crc32("\n".join(members).encode())  # only equal parts are comparable
            name = mark_name(order, what, str(wrapper.number), f"{part}#{same:08x}")
            self.notes.number(SUBJECT, name, joined([plain[member] for member in members]))


def is_marked(steps: int) -> bool:
    """Tell whether marks are taken after so many steps: four times until they have doubled."""
    return steps > 0 and not steps & ((1 << max(steps.bit_length() - 3, 0)) - 1)


def parts(names: list[str]) -> dict[str, str]:
    """Cut names down to as many leading parts as leave at most `MOST` different ones."""
    split = {name: name.split(".") for name in names}
    for depth in range(max(map(len, split.values()), default=0), 0, -1):
        short = {name: ".".join(each[:depth]) for name, each in split.items()}
        if len(set(short.values())) <= MOST:
            return short
    return dict.fromkeys(names, "")
