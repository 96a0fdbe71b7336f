"""What fusion, MACL, DHN and stage 1 are worth on the synthetic set, over three seeds.

python -m bench.rgbt_detection.learning FOLDER [--processes 2] [--seeds 3] [--only NAME ...]

Runs are made at the preset `nano`, one thread each, `--processes` of them side by side; those that
FOLDER has figures of are not made again, so that an interrupted benchmark goes on. The tables are
printed after every run, with what there is. An interval is Student's, over seeds; a difference is
that of runs with equal seeds.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.rgbt_detection.runs import Job
from bench.rgbt_detection.tables import print_tables

NO_CONTRAST = ("--model.macl", "false", "--model.dhn", "false")
STAGE_1_EPOCHS, STAGE_2_EPOCHS = 6, 12
STEPS_1, STEPS_2 = 306, 180  # of the two stages: 408 and 120 training pairs in batches of 8
SCRATCH_TOTAL_EPOCHS = STAGE_2_EPOCHS * (STEPS_1 + STEPS_2) // STEPS_2

# In the order in which they are made: all seeds of the first, then of the others.
STAGE_1 = {
    "MACL + DHN": (),
    "infrared only": (*NO_CONTRAST, "--model.fusion", "infrared", "--data.missing", "visible"),
    "visible only": (*NO_CONTRAST, "--model.fusion", "visible", "--data.missing", "infrared"),
    "MACL off": NO_CONTRAST,
    "no shared cue": ("--data.has_shared_cue", "false"),
    "MACL on": ("--model.dhn", "false"),
    "MACL 1.0 + DHN 0.5": ("--loss.macl", "1.0", "--loss.dhn", "0.5"),
}
STAGE_2 = {
    "A -> B, body frozen": (),
    "B scratch, equal B steps": ("--init", "scratch", "--model.frozen_stages", "0"),
    "B scratch, equal total steps": (
        *("--init", "scratch", "--model.frozen_stages", "0"),
        *("--epochs", str(SCRATCH_TOTAL_EPOCHS)),
    ),
}
ORDER = (
    ("MACL + DHN", "infrared only", "visible only", "A -> B, body frozen"),
    ("B scratch, equal B steps", "MACL off"),
    ("B scratch, equal total steps", "no shared cue", "MACL on", "MACL 1.0 + DHN 0.5"),
)


def jobs(seeds: int) -> list[Job]:
    """Return the runs, those of the first group of names for every seed before the others."""
    return [
        Job(
            name=name,
            seed=seed,
            stage="stage1" if name in STAGE_1 else "stage2",
            options=(STAGE_1 | STAGE_2)[name],
        )
        for names in ORDER
        for seed in range(seeds)
        for name in names
    ]


def run(job: Job, folder: Path) -> None:
    """Make a run in a process of its own, unless it is there."""
    place = folder / job.key.replace(" ", "-").replace(",", "").replace("->", "to")
    if (place / "figures.json").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    epochs = STAGE_1_EPOCHS if job.stage == "stage1" else STAGE_2_EPOCHS
    options = ["--preset", "nano", "--seed", str(job.seed), "--epochs", str(epochs), *job.options]
    if job.stage == "stage2" and "--init" not in job.options:
        first = folder / f"MACL-+-DHN-seed{job.seed}" / "stage1" / "best.ckpt"
        options += ["--checkpoint", str(first)]
    command = [sys.executable, "-m", "bench.rgbt_detection.runs", str(place), job.stage, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (place / "log.txt").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if code.returncode:
        print(f"{job.key} failed: {place / 'log.txt'}", file=sys.stderr)
        return
    figures = json.loads((place / "figures.json").read_text())
    record = {"name": job.name, "seed": job.seed, "stage": job.stage, "figures": figures}
    (place / "record.json").write_text(json.dumps(record, indent=1))
    print_tables(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    chosen = [job for job in jobs(options.seeds) if not options.only or job.name in options.only]
    # Stage 2 needs its stage 1: the first of a seed is waited for by being first in the queue.
    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda job: run(job, options.folder), chosen))
    print_tables(options.folder)


if __name__ == "__main__":
    main()
