"""Trains and measures one detector in a process of its own: a row of a benchmark's table.

python -m bench.rgbt_detection.runs FOLDER stage1 --seed 1 --model.macl false ...
"""

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run to be made; the same name and options are not run twice."""

    name: str
    seed: int
    stage: str
    options: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.name}-seed{self.seed}"


def measured(folder: Path, stage: str, options: list[str]) -> dict[str, object]:
    """Train, evaluate the best checkpoint on the test pairs, and return the figures."""
    import torch
    from stepscope_systems.rgbt_detection.checkpoints import read_trained
    from stepscope_systems.rgbt_detection.command import configured
    from stepscope_systems.rgbt_detection.data.stages import lists_of
    from stepscope_systems.rgbt_detection.evaluation import evaluate
    from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
    from stepscope_systems.rgbt_detection.train import train

    config = configured([*options, "--output", str(folder), "--run.progress", "false"], stage)  # type: ignore[arg-type]
    begun, used = time.perf_counter(), time.process_time()
    trained_in = train(config, stage)  # type: ignore[arg-type]
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    trained = read_trained(trained_in / "best.ckpt")
    test = lists_of(config.data, stage, folder / "data").test  # type: ignore[arg-type]
    found = evaluate(trained, test)
    results = found.results["full"]
    figures: dict[str, object] = {
        "wall_s": wall,
        "cpu_s": cpu,
        "threads": torch.get_num_threads(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "fingerprint": test.fingerprint(),
        "pairs": len(results),
    }
    for condition in (None, *sorted({each.condition for each in results})):
        precision = average_precision(results, condition)
        figures[f"ap50 {condition or 'all'}"] = precision.ap50
        figures[f"ap {condition or 'all'}"] = precision.ap
    if isinstance(found.alignment, str):
        figures["alignment"] = found.alignment
    else:
        figures |= {
            "r@1": found.alignment.drawn.both,
            "chance": found.alignment.drawn.chance,
            "null 95 %": found.alignment.null_95,
            "p": found.alignment.p,
            "cosine +": found.alignment.cosine_positive,
            "cosine -": found.alignment.cosine_negative,
        }
    return figures


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    where, its_stage, *its_options = sys.argv[1:]
    row = measured(Path(where), its_stage, its_options)
    (Path(where) / "figures.json").write_text(json.dumps(row, indent=1))
    print(json.dumps(row))
