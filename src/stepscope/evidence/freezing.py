"""Parts that a program freezes by `stepscope.freeze`, and the signed-off record of a freeze."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, Self

import msgspec

from stepscope.core import Evidence, Moment, Place, Recording
from stepscope.core.whole_file import write_whole
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.parameters import Parameters

NAMED = 3  # names in one sentence; of more only the count


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """One `Frozen` handle. Names are qualified, as everywhere in a recording."""

    patterns: tuple[str, ...]
    parameters: tuple[str, ...]
    modules: tuple[str, ...] = ()  # kept in evaluation mode through every `train()`
    is_active: bool = True  # nothing had undone it when the recording ended
    at: Place = Place()  # `at.step`: optimizer steps taken before


class Freezes(Evidence, frozen=True, kw_only=True):
    """Every `stepscope.freeze` of the program, in order, those that were undone too."""

    obtained_by: ClassVar[str] = "a call of stepscope.freeze"
    freezes: tuple[Freeze, ...]

    def leaves_in_training(self, module: str, parameters: tuple[str, ...]) -> bool:
        """Tell whether a freeze holds these parameters, and lets their module follow `train()`."""
        return any(
            freeze.is_active and set(parameters) <= set(freeze.parameters)
            for freeze in self.freezes
        ) and not any(freeze.is_active and module in freeze.modules for freeze in self.freezes)


def joined(intent: Intent, freezes: Freezes | None, parameters: Parameters | None) -> Intent:
    """Return the intent with what the program itself has frozen, and has not undone since.

    A freeze counts as declared from the first recorded step on; one that came later does not.
    """
    known = parameters.parameters if parameters is not None else ()
    held = {
        name
        for freeze in (freezes.freezes if freezes is not None else ())
        if freeze.is_active and not freeze.at.step
        for name in freeze.parameters
    }
    added = tuple(
        each.name.replace("[", "[[]")  # a glob that means this name
        for each in known
        if each.name in held and not matches(each.name, intent.frozen)
    )
    return msgspec.structs.replace(intent, frozen=(*intent.frozen, *added)) if added else intent


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a model a set of tensors is. A shared tensor counts once."""

    tensors: int
    elements: int


class FrozenTensor(msgspec.Struct, frozen=True, kw_only=True):
    """The bits of one frozen parameter or buffer, where the proof of it began and ended."""

    name: str
    is_buffer: bool
    shape: tuple[int, ...]
    dtype: str  # "float32"
    since_step: int  # its `before` was taken after so many optimizer steps
    until_step: int  # and its `after`: a later stage may have thawed it
    before: int  # fingerprint, in memory order
    after: int | None  # None: the tensor is gone, or its bits can no longer be read


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What stood when the proof began. Each tuple of names is empty where all is right."""

    frozen: Count
    trainable: Count
    buffers: Count  # below the modules that are kept in evaluation mode
    optimized: Count  # held by the watched optimizers
    requiring: tuple[str, ...] = ()  # frozen, but it requires a gradient
    in_optimizer: tuple[str, ...] = ()  # frozen, but a watched optimizer holds it
    not_in_optimizer: tuple[str, ...] = ()  # trainable, but no watched optimizer holds it
    declared_frozen: tuple[str, ...] = ()  # by the intent, but it is not frozen
    declared_trainable: tuple[str, ...] = ()  # by the intent, but it is frozen
    unreadable: tuple[str, ...] = ()  # frozen, without bits that can be read: a meta tensor
    strangers: Count  # held by a watched optimizer, no parameter of the model; no breach

    @property
    def breaches(self) -> Iterator[str]:
        """Say what is wrong, a sentence for each kind."""
        yield from _said(self.requiring, "of the frozen parameters require a gradient")
        yield from _said(self.in_optimizer, "of the frozen parameters are held by an optimizer")
        yield from _said(self.not_in_optimizer, "trainable parameters are in no watched optimizer")
        yield from _said(self.declared_frozen, "parameters are declared frozen, and are not")
        yield from _said(self.declared_trainable, "parameters are declared trainable, and frozen")
        yield from _said(self.unreadable, "of the frozen tensors hold no bits that can be read")


class FreezeCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at the frozen part. Each tuple of names is empty where all is right."""

    step: int  # optimizer steps since the proof began
    changed_parameters: tuple[str, ...] = ()  # other bits than at the beginning
    changed_buffers: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()  # frozen parameters that hold a gradient
    requiring: tuple[str, ...] = ()  # frozen parameters that require one again
    training: tuple[str, ...] = ()  # modules to be kept in evaluation mode, found in training mode

    @property
    def wrong(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Say what is wrong, and with which tensors or modules."""
        found = {
            "frozen parameters changed": self.changed_parameters,
            "buffers of frozen modules changed": self.changed_buffers,
            "frozen parameters hold a gradient": self.gradients,
            "frozen parameters require a gradient again": self.requiring,
            "frozen modules are in training mode": self.training,
        }
        return ((what, names) for what, names in found.items() if names)

    @property
    def breaches(self) -> Iterator[str]:
        """Say what is wrong, a sentence for each kind."""
        return (sentence for what, names in self.wrong for sentence in _said(names, what))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen parameters and persistent buffers beside what a checkpoint holds of them.

    It speaks of the bits at the end of a proof, and of what was frozen at its beginning.
    """

    checkpoint: str  # its path, or "a state dict"
    strip: str = ""  # taken off the model's names to find them in the checkpoint: "backbone."
    prepend: str = ""  # put in front of them: "module."
    identical: tuple[str, ...]
    different: tuple[str, ...]
    absent: tuple[str, ...]  # not in the checkpoint

    def without(self, moved: Collection[str]) -> Self:
        """Count those that have moved since among the different ones."""
        return msgspec.structs.replace(
            self,
            identical=tuple(name for name in self.identical if name not in moved),
            different=(*self.different, *(name for name in self.identical if name in moved)),
        )

    @property
    def breaches(self) -> Iterator[str]:
        """Say what is frozen and does not come from the checkpoint."""
        yield from _said(self.different, f"frozen tensors are not those of {self.checkpoint}")
        yield from _said(self.absent, f"frozen tensors are not in {self.checkpoint}")


class FreezeRecord(Evidence, frozen=True, kw_only=True):
    """What a `Proof` saw, from its beginning to its end."""

    moment: ClassVar[Moment] = Moment.AFTER
    obtained_by: ClassVar[str] = "a proof of a freeze (stepscope.freezing.proof.Proof)"
    patterns: tuple[str, ...]
    at: Place = Place()  # the line that froze
    steps: int  # optimizer steps between the first look and the last
    every: int  # steps between two looks
    before: Before
    checks: tuple[FreezeCheck, ...]  # the last one is the final look
    tensors: tuple[FrozenTensor, ...]
    identical_to: tuple[Comparison, ...] = ()

    @property
    def breaches(self) -> tuple[str, ...]:
        """Say all that was wrong, a sentence for each kind, with the step that showed it first."""
        said = [*self.before.breaches]
        said += [sentence for each in self.identical_to for sentence in each.breaches]
        looks = [(check.step, dict(check.wrong)) for check in self.checks]
        for what in dict.fromkeys(what for _, wrong in looks for what in wrong):
            names = tuple(dict.fromkeys(name for _, wrong in looks for name in wrong.get(what, ())))
            first = next(step for step, wrong in looks if what in wrong)
            said += (f"{each}, first seen after {first} steps" for each in _said(names, what))
        return tuple(said)

    @property
    def holds(self) -> bool:
        """Whether nothing was wrong at any look."""
        return not self.breaches

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as the JSON of a recording, whole or not at all.

        Raises:
            OSError: the file cannot be written; one that was there before is untouched.
        """
        write_whole(Path(path), Recording(self).to_json())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, exactly.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds no record of a freeze.
        """
        wanted = "expected the JSON that FreezeRecord.save writes"
        try:
            record = Recording.from_json(Path(path).read_bytes(), [cls]).get(cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"{os.fspath(path)}: {error}; {wanted}") from error
        if record is None:
            raise ValueError(f"{os.fspath(path)}: holds no record of a freeze; {wanted}")
        return record


def _said(names: tuple[str, ...], what: str) -> Iterator[str]:
    if names:
        more = ", ..." if len(names) > NAMED else ""
        yield f"{len(names)} {what}: {', '.join(names[:NAMED])}{more}"
