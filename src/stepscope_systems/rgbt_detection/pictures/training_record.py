"""What a run logged, read from the metrics.csv of Lightning's CSVLogger."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Floats

Series: TypeAlias = tuple[Floats, Floats]  # steps (n,) and values (n,), NaN and inf kept
_STEP = "step"


def read_record(*paths: Path) -> Mapping[str, Series]:
    """Read each logged quantity; several files are one run that was resumed, in order.

    Of a step that two files hold, the later file's value counts: the resumed run has taken it
    again.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file has no column `step`, or a value is not a number.
    """
    found: dict[str, dict[float, float]] = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if _STEP not in columns:
                raise ValueError(
                    f"{path} has the columns {', '.join(columns) or 'none'}; expected `step` among "
                    "them: pass the metrics.csv that Lightning's CSVLogger writes"
                )
            for number, row in enumerate(reader, start=2):
                where = f"{path}, line {number}"
                step = _number(row.pop(_STEP), where)
                for name, text in row.items():
                    if text:
                        found.setdefault(name, {})[step] = _number(text, where)
    return {name: _series(values) for name, values in found.items()}


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{where} holds {text!r}; expected a number: pass the metrics.csv that Lightning's "
            "CSVLogger writes"
        ) from None


def _series(values: Mapping[float, float]) -> Series:
    steps = sorted(values)
    return np.array(steps), np.array([values[step] for step in steps])
