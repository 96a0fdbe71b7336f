"""Watches a frozen part while the rest trains, and signs off what it saw."""

import warnings
from collections.abc import Collection, Iterable
from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from stepscope.core import Place
from stepscope.evidence.freezing import (
    Before,
    Comparison,
    FreezeCheck,
    FreezeRecord,
)
from stepscope.evidence.intent import Intent
from stepscope.freezing.frozen import Frozen
from stepscope.freezing.proof.comparing import Checkpoint, Origin
from stepscope.freezing.proof.counts import before
from stepscope.freezing.proof.holding import Holding
from stepscope.freezing.proof.tensors import Held, find
from stepscope.probes.schedules import unwrapped

OnBroken = Literal["raise", "warn"]


class FreezeBroken(Exception):  # noqa: N818 - what happened, said as it is
    """A frozen part is not, or not any more, what it was to be."""

    def __init__(self, what: str, record: FreezeRecord) -> None:
        super().__init__(what)
        self.record = record  # of all that was seen so far


class Proof:
    """Proves that what a handle has frozen keeps its bits and its mode, and gets no gradient.

    ```python
    frozen = stepscope.freeze(model, "backbone")
    proof = Proof(frozen, every=100, against="resnet50.pth")
    proof.watch(optimizer)
    proof.begin()
    ...  # train
    proof.finish().save("freeze.json")
    ```

    It draws no random number, writes to no tensor and keeps none: a fingerprint of 64 bits stands
    for each. Between two looks it counts steps, and waits for no device.
    """

    def __init__(
        self,
        frozen: Frozen,
        *,
        every: int = 100,
        against: Checkpoint | None = None,
        intent: Intent | None = None,
        on_broken: OnBroken = "warn",
    ) -> None:
        """Look every `every` optimizer steps.

        `against` is the checkpoint that the frozen part comes from: a file, or a state dict, of
        which nothing is kept. `intent` says what was to be frozen, and what was to be trained.
        `on_broken`: a breach is warned of once, or raised from inside `optimizer.step`.

        Raises:
            ValueError: `every` is below 1, `on_broken` is none of the two, or a frozen module is
                not in the model any more.
            UnreadableCheckpoint: the file is none, or could only be read by running code from it.
        """
        if every < 1:
            raise ValueError(f"every={every}: expected a number of optimizer steps, 1 or more")
        if on_broken not in ("raise", "warn"):
            raise ValueError(f"on_broken={on_broken!r}: expected 'raise' or 'warn'")
        self._frozen = frozen
        self._every = every
        self._origin = None if against is None else Origin(against)
        self._intent = intent or Intent()
        self._on_broken = on_broken
        self._optimizers: list[Optimizer] = []
        self._pace: RemovableHandle | None = None
        self._steps = 0
        self._before: Before | None = None
        self._holding = Holding()
        self._modules = _modules_of(frozen)
        self._checks: list[FreezeCheck] = []
        self._compared: Comparison | None = None
        self._told: set[tuple[str, str]] = set()  # what, and of which tensor or module
        self._is_finished = False

    def watch(self, *optimizers: Optimizer) -> None:
        """Compare the groups of these optimizers with the model; the first one sets the pace.

        Name all optimizers that train this model: what none of them holds is said to be left out.

        Raises:
            RuntimeError: the proof has begun.
        """
        if self._before is not None:
            raise RuntimeError("watch() after begin(): name the optimizers first")
        self._optimizers += (unwrapped(optimizer) for optimizer in optimizers)

    def begin(self) -> None:
        """Take the first look: counts, groups, bits, and what the checkpoint holds.

        Raises:
            FreezeBroken: something is wrong already, and `on_broken` is "raise".
            RuntimeError: the proof has begun before.
        """
        if self._before is not None:
            raise RuntimeError("begin() twice: a proof has one beginning, make another one")
        held = _held_by(self._frozen)
        self._before = before(self._frozen, held, self._optimizers, self._intent)
        self._holding.take(held, self._steps)
        if self._optimizers:
            self._pace = self._optimizers[0].register_step_post_hook(self._stepped)
        if self._origin is not None:
            self._compared = self._origin.compare(held)
        compared = () if self._compared is None else self._compared.breaches
        self._tell([*self._before.breaches, *compared])

    def after_step(self) -> None:
        """Count an optimizer step by hand, where no optimizer is watched."""
        self._steps += 1
        if self._steps % self._every == 0:
            self._look()

    def follow(self, frozen: Frozen | None) -> None:
        """Go on with another handle: a stage has thawed a part, or frozen more; None: thawed all.

        What both have frozen is held to the bits of its beginning, what is frozen no longer is
        looked at for the last time, and what is new begins now.
        """
        kept = {each.name: each for each in (_held_by(frozen) if frozen is not None else ())}
        leaving = self._holding.names - kept.keys()
        self._modules = _modules_of(frozen) if frozen is not None else {}
        self._look(leaving)
        self._holding.let_go(
            [each.name for each in self._holding.held if each.name in leaving], self._steps
        )
        known = self._holding.names
        self._holding.take((each for name, each in kept.items() if name not in known), self._steps)

    def finish(self) -> FreezeRecord:
        """Take the last look, stop watching, and return the record.

        Raises:
            FreezeBroken: this look showed a breach, and `on_broken` is "raise".
            RuntimeError: the proof has not begun, or is finished.
        """
        if self._before is None:
            raise RuntimeError("finish() before begin(): nothing was proved")
        if self._is_finished:
            raise RuntimeError("finish() twice: the record was handed out")
        self._is_finished = True
        self.close()
        self._look()
        return self._record()

    def close(self) -> None:
        """Stop watching the optimizer, without a last look."""
        if self._pace is not None:
            self._pace.remove()
            self._pace = None

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del optimizer, args, kwargs
        self.after_step()

    def _look(self, leaving: Collection[str] = ()) -> None:
        """Compare all bits, modes and gradients with what they are to be."""
        changed = self._holding.changed()
        staying = [
            (each.name, tensor)
            for each in self._holding.held
            if not each.is_buffer and each.name not in leaving
            if (tensor := each.tensor) is not None
        ]
        check = FreezeCheck(
            step=self._steps,
            changed_parameters=tuple(each.name for each in changed if not each.is_buffer),
            changed_buffers=tuple(each.name for each in changed if each.is_buffer),
            gradients=tuple(name for name, tensor in staying if tensor.grad is not None),
            requiring=tuple(name for name, tensor in staying if tensor.requires_grad),
            training=tuple(name for name, module in self._modules.items() if module.training),
        )
        self._checks.append(check)
        seen = {(what, name) for what, names in check.wrong for name in names}
        is_new = not seen <= self._told
        self._told |= seen
        if is_new:
            self._tell(check.breaches)

    def _record(self) -> FreezeRecord:
        assert self._before is not None, "only what has begun is recorded"
        tensors = self._holding.facts(self._steps)
        moved = {each.name for each in tensors if each.before != each.after}
        return FreezeRecord(
            patterns=self._frozen.patterns,
            at=self._frozen.at,
            steps=self._steps,
            every=self._every,
            before=self._before,
            checks=tuple(self._checks),
            tensors=tensors,
            identical_to=() if self._compared is None else (self._compared.without(moved),),
        )

    def _tell(self, said: Iterable[str]) -> None:
        what = "; ".join(said)
        if not what:
            return
        where = f" (frozen at {self._frozen.at})" if self._frozen.at != Place() else ""
        text = f"the freeze of {', '.join(self._frozen.patterns)}{where} does not hold: {what}"
        if self._on_broken == "raise":
            self.close()
            raise FreezeBroken(text, self._record())
        warnings.warn(text, stacklevel=2)


def _modules_of(frozen: Frozen) -> dict[str, nn.Module]:
    present = dict(frozen.model.named_modules(remove_duplicate=False))
    missing = next((name for name in frozen.modules if name not in present), None)
    if missing is not None:
        raise ValueError(
            f"the model has no module {missing!r} any more, which was frozen; after a part is "
            "replaced, undo the freeze and freeze the new one"
        )
    return {name: present[name] for name in frozen.modules}


def _held_by(frozen: Frozen) -> list[Held]:
    """Return where the model keeps what a handle has frozen."""
    parameters = find(frozen.model, frozen.parameters, is_buffer=False)
    return [*parameters, *find(frozen.model, frozen.buffers, is_buffer=True)]
