"""Puts what was measured, and what was seen, into one page."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from stepscope_systems.rgbt_detection.checkpoints import Trained
from stepscope_systems.rgbt_detection.data.dataset import PairedDataset
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.evaluation import FULL, Evaluation
from stepscope_systems.rgbt_detection.metrics.alignment import TooFewPeopleError
from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from stepscope_systems.rgbt_detection.metrics.embedding_picture import (
    PictureCoordinates,
    picture_coordinates,
)
from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from stepscope_systems.rgbt_detection.metrics.subsets import Subset
from stepscope_systems.rgbt_detection.metrics.tables import EVERY, Table
from stepscope_systems.rgbt_detection.module import images_of
from stepscope_systems.rgbt_detection.pictures.content import (
    DetectorReport,
    KeyFigure,
    PrintedTable,
    Training,
)
from stepscope_systems.rgbt_detection.pictures.detections import View
from stepscope_systems.rgbt_detection.pictures.gates import Gates
from stepscope_systems.rgbt_detection.pictures.lines import miss_rate_line, precision_recall_line
from stepscope_systems.rgbt_detection.pictures.marks import Pixels
from stepscope_systems.rgbt_detection.pictures.result_tables import alignment_table, result_tables
from stepscope_systems.rgbt_detection.pictures.roi_pairs import RoiPair, crop, roi_pairs
from stepscope_systems.rgbt_detection.pictures.training_curves import panels_of
from stepscope_systems.rgbt_detection.pictures.training_record import read_record

_VIEWS, _GATES, _ROI_PAIRS = 8, 3, 8  # of each in a page


def report_of(
    trained: Trained,
    pairs: PairList,
    evaluation: Evaluation,
    table: Table,
    *,
    subset: Subset,
    compat: bool,
) -> DetectorReport:
    """Gather the page: figures and tables, curves, pairs of every condition, gates, RoI pairs."""
    own = next(row for row in table.rows if (row.condition, row.method) == (EVERY, FULL))
    model = trained.config.model
    lines = [(name, found) for name, found in evaluation.results.items()]
    shown = _spread(pairs)
    figures = [
        KeyFigure(name="AP50", value=f"{own.ap50:.3f}", note=f"{own.pairs:,} pairs"),
        KeyFigure(name="AP", value=f"{own.ap:.3f}", note="mean over IoU .50 to .95"),
        KeyFigure(name="MR^-2", value=f"{100 * own.miss_rate:.1f} %", note=table.provenance.subset),
    ]
    aligned = evaluation.alignment
    alignment: tuple[PrintedTable, ...] = ()
    notes: tuple[str, ...] = ()
    if isinstance(aligned, str):
        notes = (f"No alignment was measured: {aligned}.",)
    else:
        alignment = (alignment_table(aligned),)
        figures.append(
            KeyFigure(
                name=f"R@1 of {aligned.gallery}",
                value=f"{aligned.drawn.both:.3f}",
                note=f"by chance {aligned.drawn.chance:.3f}",
            )
        )
    record = sorted(trained.checkpoint.parent.glob("csv*/metrics.csv"))
    training = read_record(*record) if record else {}
    return DetectorReport(
        title=f"Visible/infrared person detector, {trained.stage}",
        summary=(
            f"A {model.body} with {model.fusion} fusion"
            f"{', MSP' if model.msp else ''}{', MACL' if model.macl else ''}"
            f"{', DHN' if model.dhn else ''}, tested on {pairs.summary()}."
        ),
        key_figures=tuple(figures),
        facts=(
            ("checkpoint", trained.checkpoint.name),
            ("measured on", str(table.provenance)),
            ("seed of the run", str(trained.config.run.seed)),
            ("training data", trained.config.data.source),
        ),
        results=result_tables(table),
        precision_recall=tuple(
            precision_recall_line(name, average_precision(found)) for name, found in lines
        ),
        miss_rate=tuple(
            miss_rate_line(name, miss_rate(found, subset, compat=compat)) for name, found in lines
        ),
        views=tuple(_view(pairs, evaluation, index) for index in shown[:_VIEWS]),
        gates=tuple(_gates(trained, pairs, index) for index in shown[:_GATES]) if model.msp else (),
        roi_pairs=_roi_pairs(pairs, evaluation),
        alignment=alignment,
        embedding=_coordinates(evaluation),
        training=Training(record=training, panels=panels_of(training)) if training else None,
        notes=notes,
    )


def checkpoint_rule(checkpoint: Path) -> str:
    """Say by what rule a checkpoint was chosen, as far as its own state tells."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for name, state in content.get("callbacks", {}).items():
        if re.match(r"ModelCheckpoint\{", name) and checkpoint.stem == "best":
            best = state["best_model_score"]
            return f"best {state['monitor']} ({float(best):.3f}), epoch {content['epoch'] + 1}"
    return f"{checkpoint.stem}, epoch {content.get('epoch', -1) + 1}"


def _spread(pairs: PairList) -> list[int]:
    """Return indices that take conditions in turn, pairs with people first."""
    by_condition: dict[str, list[int]] = {}
    order = sorted(range(len(pairs.pairs)), key=lambda each: not pairs.pairs[each].people)
    for index in order:
        by_condition.setdefault(pairs.pairs[index].condition, []).append(index)
    turns = max(map(len, by_condition.values()), default=0)
    # Neighbours of one scene look alike: steps through each list.
    return [
        found[turn * 7 % len(found)]
        for turn in range(turns)
        for _, found in sorted(by_condition.items())
    ]


def _pixels(pairs: PairList, index: int) -> tuple[Pixels, Pixels]:
    """Return both images as they are on disk."""
    sample = PairedDataset(pairs)[index]
    visible, infrared = (
        (sample[key].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        for key in ("visible", "infrared")
    )
    return visible, infrared


def _view(pairs: PairList, evaluation: Evaluation, index: int) -> View:
    visible, infrared = _pixels(pairs, index)
    people = pairs.pairs[index].people
    boxes = [
        np.array([person.box(modality) for person in people], np.float64).reshape(-1, 4)
        for modality in ("visible", "infrared")
    ]
    return View(
        result=evaluation.results[FULL][index],
        visible=visible,
        infrared=infrared,
        boxes_visible=boxes[0],
        boxes_infrared=boxes[1],
    )


def _gates(trained: Trained, pairs: PairList, index: int) -> Gates:
    visible, infrared = _pixels(pairs, index)
    seen = PairedDataset(pairs, missing=trained.config.data.missing)
    images = images_of([seen[index]])
    with torch.no_grad():
        gates = trained.detector.gates(*images)
    by_modality = {
        modality: {f"level {name}": gate[0, 0].numpy() for name, gate in levels.items()}
        for modality, levels in gates.items()
    }
    return Gates(
        name=pairs.pairs[index].name,
        visible_image=visible,
        infrared_image=infrared,
        visible=by_modality["visible"],
        infrared=by_modality["infrared"],
    )


def _roi_pairs(pairs: PairList, evaluation: Evaluation) -> tuple[RoiPair, ...]:
    embeddings = evaluation.embeddings
    if embeddings is None:
        return ()
    rows = np.linspace(0, len(embeddings.boxes) - 1, _ROI_PAIRS).astype(int)
    chosen = sorted(set(rows.tolist()))
    index = {pair.name: number for number, pair in enumerate(pairs.pairs)}
    names: list[str] = []
    crops: tuple[list[Pixels], list[Pixels]] = ([], [])
    for row in chosen:
        name, *boxes = embeddings.boxes[row]
        names.append(name)
        for image, box, kept in zip(_pixels(pairs, index[name]), boxes, crops, strict=True):
            kept.append(crop(image, box.tolist()))
    return roi_pairs(names, *crops, embeddings.visible[chosen], embeddings.infrared[chosen])


def _coordinates(evaluation: Evaluation) -> PictureCoordinates | None:
    embeddings = evaluation.embeddings
    if embeddings is None:
        return None
    try:
        return picture_coordinates(embeddings.visible, embeddings.infrared)
    except TooFewPeopleError:
        return None  # the table of alignment says so already


def methods_of(trained: Trained) -> Sequence[str]:
    """Return the ways in which a detector's own weights can be given less to go by."""
    if trained.config.model.fusion in ("visible", "infrared"):
        return ()
    gates = ("full without gates",) if trained.config.model.msp else ()
    return ("full without infrared", "full without visible", *gates)
