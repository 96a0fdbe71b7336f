"""What a recording costs the program that is recorded, and how much room it takes.

python -m bench.course.recording              half a minute
python -m bench.course.recording --million    10^6 steps of 100 modules, each of them sampled
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stepscope.evidence.course.line import Line
from stepscope.recordings.folder import begin
from stepscope.recordings.reader import RankRecorded, read
from stepscope.recordings.writer import BUDGET, Recorder

LINES, PAUSE_S = 1000, 0.002


def made(step: int, modules: int, began: float) -> Line:
    norms = {f"backbone.layer{n // 10}.{n % 10}.conv1": 1 / (step + n + 3) for n in range(modules)}
    return Line(
        step=step,
        seconds=time.monotonic() - began,
        numbers={"gradient_norm": norms, "loss": {"total": 1 / (step + 1)}},
    )


def size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def recorded(home: Path, run: Callable[[Recorder, float], None]) -> RankRecorded:
    folder = begin(home, "bench.py")
    began = time.monotonic()
    recorder = Recorder(folder.rank(0), clock=lambda: time.monotonic() - began, said=print)
    run(recorder, began)
    recorder.close(LINES, "finished")
    (rank,) = read(folder.path).ranks
    return rank


def cost(home: Path, modules: int) -> str:
    """Hand over a line every 2 ms, as a program would that does nothing but that."""
    handing: list[float] = []
    used_s = 0.0

    def run(recorder: Recorder, began: float) -> None:
        nonlocal used_s
        lines = [made(step, modules, began) for step in range(LINES)]
        own, whole = time.thread_time(), time.process_time()
        for line in lines:
            time.sleep(PAUSE_S)
            at = time.perf_counter()
            recorder.line(line)
            handing.append(time.perf_counter() - at)
        recorder.flush()
        used_s = time.process_time() - whole - (time.thread_time() - own)

    rank = recorded(home, run)
    handing.sort()
    return (
        f"{modules:>7,}  {1e6 * statistics.median(handing):6.1f}  {1e6 * handing[-10]:8.1f}"
        f"  {1e6 * used_s / LINES:9.1f}  {size(rank.folder) / LINES:9,.0f}"
    )


def million(home: Path, steps: int = 10**6) -> None:
    largest = 0

    def run(recorder: Recorder, began: float) -> None:
        nonlocal largest
        for step in range(steps):
            recorder.line(made(step, 100, began))
            if step % 1000 == 0:
                recorder.flush(60.0)
                largest = max(largest, size(next(home.glob(".stepscope/*/rank-0"))))

    began = time.perf_counter()
    rank = recorded(home, run)
    print(f"{steps:,} lines of 100 modules: {time.perf_counter() - began:.0f} s")
    print(f"at most {largest / 1e6:.1f} MB on disk, of {BUDGET / 1e6:.0f} MB that it may take")
    began = time.perf_counter()
    lines = list(rank.lines(()))
    sampled = sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in lines)
    norms = sum("gradient_norm" in each.numbers for each in lines)
    print(f"{len(lines):,} lines kept, {norms:,} with gradient norms, {sampled:,} counted;")
    print(f"read in {time.perf_counter() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        if parser.parse_args().million:
            million(Path(folder))
            return
        print("         the program, us       the thread, us   bytes")
        print("modules  median  99th of 100  CPU a line       a line")
        for modules in (1, 10, 100, 1000, 10_000):
            print(cost(Path(folder), modules))


if __name__ == "__main__":
    main()
