"""A checkpoint beside another one, a model, or a configuration."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from stepscope.checkpoint_files.contents.describing import Described
from stepscope.checkpoint_files.matching import Shapes, best_repair, fits
from stepscope.core import Place
from stepscope.evidence.checkpoint_file import Brought, CheckpointFile, Comparison
from stepscope.evidence.checkpoints import Checkpoints, Load, OptimizerLoad, ValueBefore
from stepscope.probes.checkpoints.matching import own_tensors
from stepscope.probes.fingerprints import fingerprints, readable

RATES = re.compile(r"^(lr|learning_rate|base_lr|initial_lr)$")
DECAYS = re.compile(r"^(weight_decay|wd)$")
SCALES = re.compile(r"(^|[._])(logit_scale|logit_bias|temperature|temp|tau|scale)$")
SAME = 1e-6  # relative: a number that went through a file of text is the same


@dataclass(frozen=True, slots=True)
class _Side:
    """The tensors of what a file is held against."""

    shapes: Shapes
    nbytes: Mapping[str, int]
    prints: Mapping[str, int | None]  # None: its bits cannot be read
    numbers: Mapping[str, float]


def against_file(file: Described, other: Described) -> Comparison:
    """Compare with another checkpoint: which tensors are the same, and what a resume brings."""
    mine = other.evidence
    side = _Side(
        {each.name: each.shape for each in mine.model},
        {each.name: each.nbytes for each in mine.model},
        {each.name: each.fingerprint for each in mine.model},
        _numbers(mine),
    )
    settings = dict(_settings(mine))
    brought = [
        Brought(name=name, in_file=value, against=settings[name])
        for name, value in _settings(file.evidence)
        if name in settings and not _same(value, settings[name])
    ]
    return _tensors(file, side, mine.path, "file", brought)


def against_model(file: Described, model: nn.Module, name: str) -> Comparison:
    """Compare with the tensors of a live model."""
    own = own_tensors(model)
    plain = {key: readable(tensor) for key, tensor in own.items()}
    known = {key: tensor for key, tensor in plain.items() if tensor is not None}
    prints = dict(zip(known, fingerprints(list(known.values())), strict=True))
    side = _Side(
        {key: tuple(tensor.shape) for key, tensor in own.items()},
        {key: tensor.nbytes for key, tensor in own.items()},
        {key: prints.get(key) for key in own},
        {
            key: float(tensor.item())
            for key, tensor in known.items()
            if tensor.numel() == 1 and not tensor.is_complex()
        },
    )
    return _tensors(file, side, name, "model", [])


def against_configuration(
    file: CheckpointFile,
    values: Mapping[str, object],
    name: str,
    temperature: float | None,
) -> Comparison:
    """Compare the numbers that a resume brings back with those that a configuration has.

    A learning rate or a weight decay counts as brought back where no group of the file has it.
    `temperature` is the effective scale of the logits that is declared, where one is.
    """
    brought: list[Brought] = []
    unread: list[str] = []
    settings = list(_settings(file))
    numbers = _numbers(file)
    settable = {key: value for key, value in values.items() if key != "intent"}
    for key, value in _flattened("", settable):
        last = key.rpartition(".")[2]
        found = _configured(last, value, settings, numbers)
        if found is None:
            unread.append(key)
        brought += found or []
    if temperature is not None:
        for scale, value in numbers.items():
            if SCALES.search(scale) and not scale.endswith("bias"):
                meant = math.log(temperature) if "logit_scale" in scale else temperature
                if not _same(value, meant):
                    brought.append(Brought(name=scale, in_file=value, against=meant))
    unique = tuple({each.name: each for each in brought}.values())
    return Comparison(against=name, kind="configuration", brought=unique, unread=tuple(unread))


def as_loads(file: CheckpointFile, compared: Comparison | None) -> Checkpoints:
    """Say what a load of the file would do, so that the rules on loads can judge it."""
    if compared is None:
        return Checkpoints(tried=(), loads=())
    tensors = {each.name for each in file.model}
    values = [
        ValueBefore(name=b.name, before=b.against, after=b.in_file, at_start=b.in_file)
        for b in compared.brought
    ]
    at = Place()
    load = Load(
        module="",
        path=file.path,
        strict=False,
        in_file=len(tensors),
        matched=compared.matched,
        total=compared.total,
        matched_bytes=compared.matched_bytes,
        total_bytes=compared.total_bytes,
        missing=compared.missing,
        unexpected=compared.unexpected,
        mismatched=compared.mismatched,
        prefix=compared.repair,
        prefix_matched=compared.repaired,
        # That two files are equal says nothing of an initialisation.
        changed=len(compared.differing) if compared.kind == "model" else compared.matched,
        numbers=tuple(each for each in values if each.name in tensors),
        at=at,
    )
    settings = tuple(each for each in values if " of group " in each.name)
    resumed = tuple(
        OptimizerLoad(
            optimizer=each.path,
            path=file.path,
            numbers=tuple(v for v in settings if _owner(v.name) in ("", each.path)),
            at=at,
        )
        for each in file.optimizers
    )
    return Checkpoints(tried=(), loads=(load,), optimizer_loads=resumed)


def _tensors(
    file: Described, side: _Side, name: str, kind: str, brought: list[Brought]
) -> Comparison:
    mine = {each.name: each for each in file.evidence.model}
    matched = [
        key for key, shape in side.shapes.items() if key in mine and fits(mine[key].shape, shape)
    ]
    mismatched = tuple(
        f"{key}: {mine[key].shape} in the file, {shape} in the {kind}"
        for key, shape in side.shapes.items()
        if key in mine and not fits(mine[key].shape, shape)
    )
    unexpected = tuple(sorted(mine.keys() - side.shapes.keys()))
    missing = tuple(sorted(side.shapes.keys() - mine.keys()))
    repair, repaired = "", 0
    if unexpected and missing:
        theirs = {key: each.shape for key, each in mine.items()}
        repair, repaired = best_repair(side.shapes, {"": theirs}, len(matched))
    same = {key for key in matched if side.prints[key] == mine[key].fingerprint}
    numbers = _numbers(file.evidence)
    values = [
        Brought(name=key, in_file=numbers[key], against=side.numbers[key])
        for key in matched
        if key in numbers and key in side.numbers and not _same(numbers[key], side.numbers[key])
    ]
    return Comparison(
        against=name,
        kind=kind,
        matched=len(matched),
        total=len(side.shapes),
        matched_bytes=sum(side.nbytes[key] for key in matched),
        total_bytes=sum(side.nbytes.values()),
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
        repair=repair,
        repaired=repaired if repair else 0,
        identical=tuple(key for key in matched if key in same),
        differing=tuple(key for key in matched if key not in same and side.prints[key] is not None),
        brought=(*values, *brought),
    )


def _numbers(file: CheckpointFile) -> dict[str, float]:
    return {each.name: each.value for each in file.model if each.value is not None}


def _settings(file: CheckpointFile) -> Iterator[tuple[str, float]]:
    """Yield the numbers of the optimizers and the counters, by names that two files share."""
    for optimizer in file.optimizers:
        several = f" of {optimizer.path}" if len(file.optimizers) > 1 else ""
        for group in optimizer.groups:
            pairs = (
                ("lr", group.lr),
                ("initial lr", group.initial_lr),
                ("weight decay", group.weight_decay),
            )
            for word, value in pairs:
                if value is not None:
                    yield f"{word} of group {group.index}{several}", value
    yield from ((each.name, each.value) for each in file.counters)


def _owner(setting: str) -> str:
    """Return the optimizer that a setting names; "" where there is only one."""
    return setting.partition(" of group ")[2].partition(" of ")[2]


def _configured(
    last: str,
    value: float,
    settings: Sequence[tuple[str, float]],
    numbers: Mapping[str, float],
) -> list[Brought] | None:
    """Return what the file has in the place of one configured number; None: nothing of the kind."""
    if RATES.match(last) or DECAYS.match(last):
        words = ("weight decay",) if DECAYS.match(last) else ("initial lr", "lr")
        for word in words:
            of_kind = [each for each in settings if each[0].startswith(f"{word} of")]
            if of_kind:
                if any(_same(found, value) for _, found in of_kind):
                    return []
                return [Brought(name=n, in_file=found, against=value) for n, found in of_kind]
        return None
    named = [(n, found) for n, found in numbers.items() if n.rpartition(".")[2] == last]
    named += [(n, found) for n, found in settings if n.rpartition("/")[2] == last]
    if not named:
        return None
    return [
        Brought(name=n, in_file=found, against=value)
        for n, found in named
        if not _same(found, value) and not (SCALES.search(n) and _same_scale(found, value))
    ]


def _same_scale(found: float, value: float) -> bool:
    """Tell whether a scale is kept as the logarithm of the configured one."""
    return value > 0 and _same(found, math.log(value))


def _same(one: float, other: float) -> bool:
    # float32 keeps seven digits of what a configuration writes
    return math.isclose(one, other, rel_tol=SAME, abs_tol=1e-12)


def _flattened(lead: str, values: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(f"{lead}{key}.", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{lead}{key}", float(value)
