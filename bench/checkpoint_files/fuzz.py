"""Damages checkpoints at random, and reads them: each must be read or refused, in bounded cost.

    python -m bench.checkpoint_files.fuzz --each 2000

Prints how many files of each format were read, found damaged, or refused because they ask for
code. Exits with 1 if anything else happened to any of them: another exception, 20 seconds, 2 GiB,
an import, a process, a file written, or a call of the hostile pickles.
"""

import argparse
import codecs
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.checkpoint_files.guarded import Watch, limit_memory, outcome
from bench.checkpoint_files.mutating import mutated
from bench.checkpoint_files.samples import hostile, write

CODECS = ("cp437", "raw_unicode_escape", "latin1")  # imported when a file first needs them
OUTCOMES = ("read", "damaged", "asks for code")


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("--each", type=int, default=2000, help="files of each format")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="folder for the files that failed")
    options.add_argument("--in-child", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.in_child:
        _work(chosen.in_child, chosen.each, chosen.seed, chosen.keep)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        module = [sys.executable, "-m", "bench.checkpoint_files.fuzz"]
        arguments = [*module, *sys.argv[1:], "--in-child", folder]
        child = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if child.returncode:
            print(f"the process that read the files ended with {child.returncode}")
            print(child.stderr)
            return 1
        counts: dict[str, dict[str, int]] = json.loads(child.stdout)
    print(f"{'format':22}" + "".join(f"{name:>15}" for name in OUTCOMES) + f"{'failed':>8}")
    failed = 0
    for name, row in counts.items():
        others = {key: number for key, number in row.items() if key not in OUTCOMES}
        failed += sum(others.values())
        numbers = "".join(f"{row.get(key, 0):>15}" for key in OUTCOMES)
        print(f"{name:22}{numbers}{sum(others.values()):>8}")
        for key, number in others.items():
            print(f"    {number} x {key}")
    print(f"{sum(sum(row.values()) for row in counts.values())} files, {failed} failed")
    return int(failed > 0)


def _work(folder: Path, each: int, seed: int, keep: Path | None) -> None:
    (folder / "samples").mkdir()
    places = write(folder / "samples")
    watch = Watch()
    for codec in CODECS:
        codecs.lookup(codec)
    for place in places.values():
        outcome(place, watch)
        assert outcome(place, watch) == "read"
    limit_memory()
    counts: dict[str, Counter[str]] = {}
    canary = folder / "canary"
    chance = random.Random(seed)
    for form, place in places.items():
        counts[form] = Counter()
        for _ in range(each):
            path = _damaged_copy(place, folder / "work", chance)
            _count(counts[form], path, watch, keep)
    counts["hostile"] = Counter()
    for data in hostile(canary).values():
        path = folder / "hostile.pth"
        path.write_bytes(data)
        _count(counts["hostile"], path, watch, keep)
        if canary.exists():
            counts["hostile"]["FAILED: the canary"] += 1
            canary.unlink()
    json.dump(counts, sys.stdout)


def _damaged_copy(place: Path, work: Path, chance: random.Random) -> Path:
    """Copy a checkpoint, one of its files damaged."""
    source = place if place.is_dir() else place.parent
    is_alone = place.suffix in {".pth", ".safetensors"}
    shutil.rmtree(work, ignore_errors=True)
    if is_alone:
        work.mkdir()
        (work / place.name).write_bytes(mutated(place.read_bytes(), chance))
        return work / place.name
    shutil.copytree(source, work)
    victim = chance.choice(sorted(path for path in work.iterdir() if path.is_file()))
    victim.write_bytes(mutated(victim.read_bytes(), chance))
    return work if place.is_dir() else work / place.name


def _count(row: Counter[str], path: Path, watch: Watch, keep: Path | None) -> None:
    result = outcome(path, watch)
    row[result] += 1
    if result not in OUTCOMES and keep:
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{len(list(keep.iterdir()))}-{path.name}"
        (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)


if __name__ == "__main__":
    sys.exit(main())
