"""How long a scheduler of torch takes, read off what it was made with."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import lr_scheduler, swa_utils

DROPS = 8  # of a schedule without end, those that are told


@dataclass(frozen=True, slots=True)
class Shape:
    """The course of a schedule, in its own steps; see `ScheduleBegan`."""

    settings: str = ""
    rising: int | None = None
    length: int | None = None
    turns: bool = False
    drops: tuple[int, ...] = ()
    factor: float | None = None


def shape_of(scheduler: Any) -> Shape:
    """Read the shape of a scheduler whose class is one of torch's own."""
    read = _READ.get(type(scheduler))
    return Shape() if read is None else read(scheduler)


def _linear(it: Any) -> Shape:
    return Shape(
        settings=f"total_iters={it.total_iters}",
        rising=it.total_iters if it.start_factor < it.end_factor else 0,
        length=it.total_iters,
    )


def _constant(it: Any) -> Shape:
    return Shape(
        settings=f"total_iters={it.total_iters}",
        rising=it.total_iters if it.factor < 1 else 0,
        length=it.total_iters,
    )


def _polynomial(it: Any) -> Shape:
    return Shape(settings=f"total_iters={it.total_iters}", rising=0, length=it.total_iters)


def _cosine(it: Any) -> Shape:
    return Shape(settings=f"T_max={it.T_max}", rising=0, length=it.T_max, turns=True)


def _one_cycle(it: Any) -> Shape:
    peak = int(it._schedule_phases[0]["end_step"])
    return Shape(settings=f"total_steps={it.total_steps}", rising=peak, length=it.total_steps)


def _step(it: Any) -> Shape:
    drops = tuple(it.step_size * each for each in range(1, DROPS + 1))
    return Shape(settings=f"step_size={it.step_size}", rising=0, drops=drops, factor=it.gamma)


def _milestones(it: Any) -> Shape:
    drops = tuple(sorted(it.milestones.elements()))
    text = ", ".join(map(str, drops))
    return Shape(settings=f"milestones=[{text}]", rising=0, drops=drops, factor=it.gamma)


def _exponential(it: Any) -> Shape:
    return Shape(
        settings=f"gamma={it.gamma:g}",
        rising=0,
        drops=tuple(range(1, DROPS + 1)),
        factor=it.gamma,
    )


def _lambda(it: Any) -> Shape:
    """Read the keywords that Transformers binds to its functions of the step."""
    bound = [each.keywords for each in it.lr_lambdas if isinstance(each, functools.partial)]
    if not bound or any(each != bound[0] for each in bound):
        return Shape()
    warm_up = _count(bound[0].get("num_warmup_steps"))
    total = _count(bound[0].get("num_training_steps"))
    known = {"num_warmup_steps": warm_up, "num_training_steps": total}
    return Shape(
        settings=", ".join(f"{name}={value}" for name, value in known.items() if value is not None),
        rising=warm_up,
        length=total,
    )


def _sequence(it: Any) -> Shape:
    parts = [shape_of(each) for each in it._schedulers]
    ends = [*it._milestones]
    rising: int | None = 0
    for part, begin, end in zip(parts, [0, *ends], [*ends, None], strict=True):
        if part.rising is None:
            rising = None
            break
        is_over = end is not None and begin + part.rising >= end
        rising = end if is_over else begin + part.rising if part.rising else rising
        if not is_over:
            break
    last = parts[-1].length
    texts = ", ".join(part.settings or "?" for part in parts)
    return Shape(
        settings=f"milestones={ends}: {texts}",
        rising=rising,
        length=None if last is None else (ends[-1] if ends else 0) + last,
        turns=parts[-1].turns,
        drops=tuple((ends[-1] if ends else 0) + each for each in parts[-1].drops),
        factor=parts[-1].factor,
    )


def _chain(it: Any) -> Shape:
    parts = [shape_of(each) for each in it._schedulers]
    rises = [part.rising for part in parts]
    lengths = [part.length for part in parts]
    return Shape(
        settings=", ".join(part.settings or "?" for part in parts),
        rising=None if None in rises else max(each or 0 for each in rises),
        length=None if None in lengths else max(each or 0 for each in lengths),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


_READ: dict[type, Callable[[Any], Shape]] = {
    lr_scheduler.LinearLR: _linear,
    lr_scheduler.ConstantLR: _constant,
    lr_scheduler.PolynomialLR: _polynomial,
    lr_scheduler.CosineAnnealingLR: _cosine,
    lr_scheduler.OneCycleLR: _one_cycle,
    lr_scheduler.StepLR: _step,
    lr_scheduler.MultiStepLR: _milestones,
    lr_scheduler.ExponentialLR: _exponential,
    lr_scheduler.LambdaLR: _lambda,
    lr_scheduler.SequentialLR: _sequence,
    lr_scheduler.ChainedScheduler: _chain,
    lr_scheduler.CosineAnnealingWarmRestarts: lambda it: Shape(
        settings=f"T_0={it.T_0}, T_mult={it.T_mult}", rising=0
    ),
    lr_scheduler.CyclicLR: lambda _: Shape(settings="", rising=0),
    lr_scheduler.MultiplicativeLR: lambda _: Shape(),
    swa_utils.SWALR: lambda it: Shape(settings=f"anneal_epochs={it.anneal_epochs}", rising=0),
}
