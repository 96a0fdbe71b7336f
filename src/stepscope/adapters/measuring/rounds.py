"""Runs the measuring processes, one at a time, in an order that changes from round to round."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import psutil

from stepscope.adapters.measuring.job import Job
from stepscope.evidence.savings import Measured, Prediction, Sample, Variant, predicted

Progress = Callable[[str], None]


def measure(
    job: Job,
    rounds: int,
    variants: Sequence[Variant],
    progress: Progress = lambda _: None,
    *,
    given: str = "",
) -> Measured:
    """Predict from two short runs, then measure each variant once in each round.

    Every run is a process of its own. `progress` is told what begins, and the prediction. Where a
    process fails later, the others go on. `given` is another target, to measure as it is among the
    variants of the job's.

    Raises:
        ValueError: the first process failed; what it said last is quoted.
    """
    began, busy, ours = time.perf_counter(), _busy(), _ours()
    with tempfile.TemporaryDirectory(prefix="stepscope-") as name:
        folder = Path(name)
        prediction = _predict(job, folder, progress)
        samples = []
        for number, variant in _order(rounds, variants):
            progress(f"{variant.value}, round {number + 1} of {rounds}")
            target = given if given and variant is Variant.GIVEN else job.target
            task = msgspec.structs.replace(job, target=target, variant=variant, round=number)
            samples.append(sampled(task, folder))
    others = (_busy() - busy - (_ours() - ours)) / (time.perf_counter() - began)
    return Measured(
        target=job.target,
        patterns=job.patterns,
        device=next((each.device for each in samples if each.device), ""),
        processors=_processors(),
        others=max(0.0, others),
        predicted=prediction,
        samples=tuple(samples),
    )


def _predict(job: Job, folder: Path, progress: Progress) -> Prediction | None:
    progress("the part's share of the forward")
    short = msgspec.structs.replace(job, steps=1)
    full = sampled(msgspec.structs.replace(short, variant=Variant.FULL), folder)
    if full.error:
        raise ValueError(f"{job.target} could not be measured: {full.error}")
    frozen = sampled(msgspec.structs.replace(short, variant=Variant.FROZEN), folder)
    prediction = predicted((full, frozen))
    if prediction is not None:
        progress(f"predicted: a step {prediction.speed_up:.2f}x as fast as full tuning")
    return prediction


def _processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _order(rounds: int, variants: Sequence[Variant]) -> Iterator[tuple[int, Variant]]:
    """Begin each round with another variant, so that no one always comes after the same one."""
    for number in range(rounds):
        first = number % len(variants)
        yield from ((number, each) for each in (*variants[first:], *variants[:first]))


def sampled(job: Job, folder: Path) -> Sample:
    """Run one measuring process; the folder is for what is told to it, and what it tells."""
    task, result = folder / "job.json", folder / f"{job.variant.name}-{job.round}.json"
    task.write_bytes(msgspec.json.encode(job))
    words = [sys.executable, "-m", "stepscope.adapters.measuring.worker", str(task), str(result)]
    ran = subprocess.run(  # noqa: S603 - our own module
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.exists():
        return msgspec.json.decode(result.read_bytes(), type=Sample)
    said = ran.stderr.strip().rpartition("\n")[2]
    return Sample(
        variant=job.variant, round=job.round, error=f"it left with {ran.returncode}: {said}"
    )


def _busy() -> float:
    """Return the processor time that the whole machine has spent working, in seconds."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def _ours() -> float:
    """Return the processor time of this process and of those that it started and saw end."""
    return sum(os.times()[:4])
