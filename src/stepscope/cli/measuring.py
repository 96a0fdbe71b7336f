"""`stepscope freeze --measure`: what freezing a part saves, in fresh processes."""

import re
import sys
from collections.abc import Sequence

from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.rounds import measure
from stepscope.adapters.target import Target
from stepscope.evidence.savings import Measured, Variant

SHAPE = re.compile(r"[1-9]\d*(x[1-9]\d*)*")


def measured(
    target: str,
    frozen: Sequence[str],
    *,
    arguments: Sequence[str],
    is_module: bool,
    rounds: int,
    steps: int,
    warm_up: int,
    input_shape: str,
) -> Measured:
    """Measure all variants, and say on stderr what is going on.

    Raises:
        ValueError: nothing is to be frozen, the shape is none, the script cannot be started, or
            every variant failed.
    """
    if not frozen:
        raise ValueError("say which part to freeze: --frozen backbone")
    if input_shape and not SHAPE.fullmatch(input_shape):
        raise ValueError(f"--input {input_shape!r}: expected a shape such as 8x3x224x224")
    job = Job(
        target=target,
        is_module=is_module,
        arguments=tuple(arguments),
        patterns=tuple(frozen),
        variant=Variant.FULL,
        round=0,
        warm_up=warm_up,
        steps=steps,
        input_shape=tuple(map(int, input_shape.split("x"))) if input_shape else (),
    )
    if not job.is_model:
        Target(target, is_module=is_module).prepared()
    variants = [each for each in Variant if each is not Variant.GIVEN or not job.is_model]
    found = measure(job, rounds, variants, _say)
    if not any(found.of(each) for each in Variant):
        raise ValueError(f"{target} could not be measured: {found.error(Variant.FULL)}")
    return found


def _say(what: str) -> None:
    sys.stderr.write(f"stepscope: {what}\n")
    sys.stderr.flush()
