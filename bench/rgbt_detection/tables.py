"""The tables of the benchmark of learning, from the records of its runs."""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from stepscope_systems.rgbt_detection.metrics.intervals import over_seeds

COLUMNS = ("ap50 all", "ap50 day", "ap50 night", "ap50 glare", "ap50 crossover", "ap all", "r@1")


def print_tables(folder: Path) -> None:
    """Print a row per name: mean and interval over the seeds there are."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*/record.json"))]
    for stage in ("stage1", "stage2"):
        rows: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for record in records:
            if record["stage"] == stage:
                rows[record["name"]][record["seed"]] = record["figures"]
        if not rows:
            continue
        print(f"\n| {stage} | seeds | " + " | ".join(COLUMNS) + " | cpu s |")
        print("|---" * (len(COLUMNS) + 3) + "|")
        for name, by_seed in rows.items():
            cells = [_told([each.get(column) for each in by_seed.values()]) for column in COLUMNS]
            cpu = _told([each["cpu_s"] for each in by_seed.values()], digits=0)
            print(f"| {name} | {len(by_seed)} | " + " | ".join(cells) + f" | {cpu} |", flush=True)
        _differences(rows)


def _differences(rows: dict[str, dict[int, dict[str, Any]]]) -> None:
    """Print paired differences to the first row."""
    first, *others = rows
    for name in others:
        seeds = sorted(rows[first].keys() & rows[name].keys())
        if len(seeds) < 2:
            continue
        for column in ("ap50 all", "ap all", "r@1"):
            pairs = [
                (rows[first][seed].get(column), rows[name][seed].get(column)) for seed in seeds
            ]
            if any(one is None or other is None for one, other in pairs):
                continue
            interval = over_seeds([one - other for one, other in pairs])
            print(
                f"{first} minus {name}, {column}: {interval.value:+.3f} "
                f"({interval.low:+.3f} to {interval.high:+.3f}), {len(seeds)} seeds"
            )


def _told(values: list[Any], digits: int = 3) -> str:
    known = [each for each in values if isinstance(each, float) and not math.isnan(each)]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{sum(known) / len(known):.{digits}f} ({min(known):.{digits}f}-{max(known):.{digits}f})"
