"""What a report holds: figures, tables and the raw material of its pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

from stepscope_systems.rgbt_detection.metrics.embedding_picture import PictureCoordinates
from stepscope_systems.rgbt_detection.pictures.detections import View
from stepscope_systems.rgbt_detection.pictures.gates import Gates
from stepscope_systems.rgbt_detection.pictures.lines import Line
from stepscope_systems.rgbt_detection.pictures.roi_pairs import RoiPair
from stepscope_systems.rgbt_detection.pictures.training_curves import Panel
from stepscope_systems.rgbt_detection.pictures.training_record import Series

_NARROW = 5  # columns that fit beside a chart


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number that a reader looks for first."""

    name: str  # "AP50"
    value: str  # as it is to be read: "0.826"
    note: str = ""  # "80 pairs, +-0.02 over three seeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedTable:
    """Rows of words; columns whose every cell is a number stand to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    strong: frozenset[int] = frozenset()  # rows that the report is about: the detector's own

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"the table {self.title!r} has {len(self.columns)} columns and a row of "
                    f"{len(row)} cells ({', '.join(row)}); expected as many cells as columns"
                )

    @property
    def is_wide(self) -> bool:
        """Say whether the table needs the width of the page."""
        return len(self.columns) > _NARROW

    @property
    def right(self) -> frozenset[int]:
        """Say which columns hold numbers."""
        columns = range(1, len(self.columns))
        return frozenset(
            each for each in columns if all(_is_number(row[each]) for row in self.rows)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a run logged, and which charts to draw of it."""

    record: Mapping[str, Series]
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorReport:
    """Everything that one HTML file says of a detector. What is empty is said to be missing."""

    title: str
    summary: str  # a sentence: what was trained on what, and what came out
    key_figures: tuple[KeyFigure, ...]
    facts: tuple[tuple[str, str], ...]  # what others need to repeat it: data, seed, resolution
    results: tuple[PrintedTable, ...]  # with the baselines, and per condition
    precision_recall: tuple[Line, ...] = ()
    miss_rate: tuple[Line, ...] = ()
    views: tuple[View, ...] = ()
    minimum_score: float = 0.5  # detections below it are not drawn
    gates: tuple[Gates, ...] = ()
    roi_pairs: tuple[RoiPair, ...] = ()
    alignment: tuple[PrintedTable, ...] = ()
    embedding: PictureCoordinates | None = None
    training: Training | None = None
    notes: tuple[str, ...] = ()  # what a reader must know before believing a figure


def _is_number(text: str) -> bool:
    """Say whether a cell is a number, with a unit or a spread, or an empty place."""
    return text in ("", "-", "nan") or text.lstrip("+-").lstrip()[:1].isdigit()
