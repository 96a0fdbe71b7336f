"""A small report with something in every part."""

import numpy as np

from stepscope_systems.rgbt_detection.metrics.embedding_picture import PictureCoordinates
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.pictures.content import (
    DetectorReport,
    KeyFigure,
    PrintedTable,
    Training,
)
from stepscope_systems.rgbt_detection.pictures.detections import View
from stepscope_systems.rgbt_detection.pictures.gates import Gates
from stepscope_systems.rgbt_detection.pictures.lines import Line
from stepscope_systems.rgbt_detection.pictures.roi_pairs import RoiPair
from stepscope_systems.rgbt_detection.pictures.training_curves import panels_of

VISIBLE = np.full((32, 40, 3), 60, np.uint8)
INFRARED = np.full((32, 40), 90, np.uint8)
BOXES = np.array([[2.0, 2, 12, 28], [20, 4, 30, 30]])
SHARES = np.linspace(0, 1, 5)


def view(name: str = "190001") -> View:
    """Return a pair with one hit, one person missed, one false alarm."""
    return View(
        result=Result(
            name=name,
            condition="night",
            boxes=BOXES,
            ignore=np.zeros(2, np.bool_),
            occlusion=np.zeros(2, np.int64),
            label=("person", "person"),
            detected=np.array([[2.0, 2, 12, 28], [33, 2, 39, 20], [20, 4, 30, 30]]),
            scores=np.array([0.9, 0.8, 0.1]),
            width=40,
            height=32,
        ),
        visible=VISIBLE,
        infrared=INFRARED,
        boxes_visible=BOXES,
        boxes_infrared=BOXES + 1,
    )


def report(word: str = "plain") -> DetectorReport:
    """Return a report in which `word` stands at every place that holds words."""
    record = {f"raw/loss_{word}": (np.arange(4.0), np.ones(4))}
    gate = {"level 0": np.ones((4, 5))}
    return DetectorReport(
        title=f"title {word}",
        summary=f"summary {word}",
        key_figures=(KeyFigure(name=f"AP50 {word}", value=f"0.8 {word}", note=f"note {word}"),),
        facts=((f"fact {word}", f"value {word}"),),
        results=(
            PrintedTable(
                title=f"table {word}",
                columns=(f"detector {word}", "AP50"),
                rows=((f"fused {word}", "0.826"), ("visible only", "-")),
                note=f"below {word}",
                strong=frozenset({0}),
            ),
        ),
        precision_recall=(Line(name=f"fused {word}", x=SHARES, y=1 - SHARES, score="AP50 0.5"),),
        miss_rate=(Line(name=f"fused {word}", x=SHARES, y=1 - SHARES, score="MR 40 %"),),
        views=(view(f"190001 {word}"),),
        gates=(
            Gates(name=f"190001 {word}", visible_image=VISIBLE, infrared_image=INFRARED,
                  visible=gate, infrared=gate),
        ),
        roi_pairs=(
            RoiPair(name=f"person {word}", visible=VISIBLE, infrared=INFRARED, similarity=0.5,
                    rank=2, candidates=3),
        ),
        alignment=(PrintedTable(title="t", columns=("quantity",), rows=((f"R@1 {word}",),)),),
        embedding=PictureCoordinates(
            visible=np.zeros((3, 2)), infrared=np.ones((3, 2)), method=f"t-SNE {word}"
        ),
        training=Training(record=record, panels=panels_of(record)),
        notes=(f"careful {word}",),
    )  # fmt: skip


def empty() -> DetectorReport:
    """Return a report of a detector of which nothing was measured."""
    return DetectorReport(title="t", summary="s", key_figures=(), facts=(), results=())
