"""The sections of a report, each with its tables and pictures, or with what is missing."""

from dataclasses import dataclass

from stepscope_systems.rgbt_detection.pictures.content import DetectorReport, PrintedTable
from stepscope_systems.rgbt_detection.pictures.detections import LEGEND, detections_picture
from stepscope_systems.rgbt_detection.pictures.embedding import embedding_picture
from stepscope_systems.rgbt_detection.pictures.figures import Picture
from stepscope_systems.rgbt_detection.pictures.gates import gates_picture
from stepscope_systems.rgbt_detection.pictures.lines import (
    miss_rate_picture,
    precision_recall_picture,
)
from stepscope_systems.rgbt_detection.pictures.roi_pairs import roi_picture
from stepscope_systems.rgbt_detection.pictures.training_curves import training_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the page."""

    title: str
    text: str = ""
    tables: tuple[PrintedTable, ...] = ()
    charts: tuple[Picture, ...] = ()  # beside the tables
    gallery: tuple[Picture, ...] = ()  # below them
    kind: str = "pairs"  # how wide the gallery's pictures are: wide, pairs, crops
    legend: tuple[tuple[str, bool, str], ...] = ()  # colour, whether dashed, meaning
    missing: tuple[str, ...] = ()


def sections(report: DetectorReport) -> tuple[Section, ...]:
    """Draw everything that a report holds, in the order of the page."""
    return (
        _results(report),
        _detections(report),
        _gates(report),
        *_alignment(report),
        _run(report),
    )


def _results(report: DetectorReport) -> Section:
    charts, missing = [], []
    if report.precision_recall:
        charts.append(precision_recall_picture(report.precision_recall))
    else:
        missing.append("No curve of precision and recall was given.")
    if report.miss_rate:
        charts.append(miss_rate_picture(report.miss_rate))
    else:
        missing.append("No curve of the miss rate was given.")
    return Section(
        title="Results", tables=report.results, charts=tuple(charts), missing=tuple(missing)
    )


def _detections(report: DetectorReport) -> Section:
    return Section(
        title="Detections",
        text=f"Detections with a score of at least {report.minimum_score:g}, on both modalities. A "
        "hit overlaps a person by an IoU of at least 0.5.",
        gallery=tuple(
            detections_picture(view, minimum_score=report.minimum_score) for view in report.views
        ),
        legend=LEGEND if report.views else (),
        missing=() if report.views else ("No pair was chosen to be shown.",),
    )


def _gates(report: DetectorReport) -> Section:
    return Section(
        title="Gates of the two modalities",
        text="What MSP multiplies each modality's features by before they are fused, between 0.5 "
        "(turned down) and 1.5 (turned up).",
        gallery=tuple(gates_picture(gates) for gates in report.gates),
        kind="wide",
        missing=() if report.gates else ("The gates were not recorded.",),
    )


def _alignment(report: DetectorReport) -> tuple[Section, Section]:
    missing = []
    if not report.alignment:
        missing.append("The alignment of the modalities was not measured.")
    if report.embedding is None:
        missing.append("The embeddings were not laid out on a plane.")
    drawn = () if report.embedding is None else (embedding_picture(report.embedding),)
    measured = Section(
        title="Alignment of the modalities",
        tables=report.alignment,
        charts=drawn,
        missing=tuple(missing),
    )
    crops = Section(
        title="The same people in both modalities",
        text="Visible crop and infrared crop, the cosine of their embeddings, and where the true "
        "infrared crop ranks among all shown ones.",
        gallery=tuple(roi_picture(pair) for pair in report.roi_pairs),
        kind="crops",
        missing=() if report.roi_pairs else ("No crops were embedded.",),
    )
    return measured, crops


def _run(report: DetectorReport) -> Section:
    if report.training is None:
        return Section(title="Training", missing=("No record of the training was given.",))
    picture = training_picture(report.training.record, report.training.panels)
    return Section(title="Training", gallery=(picture,), kind="wide")
