"""What a trained detector is worth on the test pairs, beside what it is worth with less."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import DataLoader

from stepscope_systems.rgbt_detection.checkpoints import Trained, moved, with_options
from stepscope_systems.rgbt_detection.data.dataset import PairedDataset, collate
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.metrics.alignment import (
    Alignment,
    TooFewPeopleError,
    alignment,
)
from stepscope_systems.rgbt_detection.metrics.results import Floats, Integers, Result, result_of
from stepscope_systems.rgbt_detection.model import Detector
from stepscope_systems.rgbt_detection.model.detector import Images
from stepscope_systems.rgbt_detection.module import Batch, images_of

Progress = Callable[[int, int], None]
FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Everybody on the test pairs, as MACL sees them; row i of all is one person in one pair."""

    visible: Floats  # (N, D)
    infrared: Floats  # (N, D)
    identities: Integers  # (N,)
    conditions: tuple[str, ...]  # N
    boxes: tuple[tuple[str, Floats, Floats], ...]  # N of pair, visible and infrared box


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Detections of each method on the same pairs, and how well the modalities agree."""

    results: dict[str, tuple[Result, ...]]  # by method, "full" first
    embeddings: Embeddings | None  # None: built without MACL
    alignment: Alignment | str  # or why there is none


def evaluate(
    trained: Trained,
    pairs: PairList,
    *,
    methods: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Detect by the full model, and by each method named: the same weights with less to go by.

    A baseline that was trained by itself is another checkpoint. Afterwards the detector is on the
    CPU again.

    Raises:
        ValueError: a method has another name, or there is no such device.
    """
    detectors = {FULL: trained.detector} | {name: _reduced(trained, name) for name in methods}
    for each in detectors.values():
        moved(each, device)
    dataset = PairedDataset(
        pairs, eval_boxes=trained.config.data.eval_boxes, missing=trained.config.data.missing
    )
    loader = DataLoader(dataset, trained.config.data.batch, collate_fn=collate)
    results: dict[str, list[Result]] = {name: [] for name in detectors}
    embedded = _Embedded()
    for number, batch in enumerate(loader, start=1):
        visible, infrared = images_of(batch)
        images = ([each.to(device) for each in visible], [each.to(device) for each in infrared])
        for name, detector in detectors.items():
            with torch.no_grad():
                found = detector(*images)
            for sample, each in zip(batch, found, strict=True):
                results[name].append(
                    result_of(
                        pairs.pairs[sample["index"]],
                        each["boxes"].cpu().double().numpy(),
                        each["scores"].cpu().double().numpy(),
                        eval_boxes=dataset.eval_boxes,
                    )
                )
        if trained.detector.alignment is not None:
            embedded.add(trained.detector, images, batch)
        if progress is not None:
            progress(number, len(loader))
    moved(trained.detector, "cpu")
    embeddings = embedded.joined() if trained.detector.alignment is not None else None
    return Evaluation(
        results={name: tuple(found) for name, found in results.items()},
        embeddings=embeddings,
        alignment=_aligned(embeddings),
    )


class _Embedded:
    """Gathers embeddings batch by batch."""

    def __init__(self) -> None:
        self.rows: list[tuple[Floats, Floats, Integers]] = []
        self.conditions: list[str] = []
        self.boxes: list[tuple[str, Floats, Floats]] = []

    def add(self, detector: Detector, images: tuple[Images, Images], batch: Batch) -> None:
        boxes = [
            [sample[f"boxes_{modality}"].as_subclass(torch.Tensor) for sample in batch]
            for modality in ("visible", "infrared")
        ]
        if not sum(map(len, boxes[0])):
            return
        with torch.no_grad():
            device = images[0][0].device
            rows = detector.embed(*images, *([each.to(device) for each in side] for side in boxes))
        identities = torch.cat([sample["identities"] for sample in batch])
        self.rows.append(
            (
                rows.visible.cpu().double().numpy(),
                rows.infrared.cpu().double().numpy(),
                identities.numpy(),
            )
        )
        for sample, visible, infrared in zip(batch, *boxes, strict=True):
            self.conditions += [sample["condition"]] * len(visible)
            for one, other in zip(visible, infrared, strict=True):
                self.boxes.append((sample["name"], one.double().numpy(), other.double().numpy()))

    def joined(self) -> Embeddings | None:
        if not self.rows:
            return None
        visible, infrared, identities = (
            np.concatenate(part) for part in zip(*self.rows, strict=True)
        )
        return Embeddings(
            visible=visible,
            infrared=infrared,
            identities=identities,
            conditions=tuple(self.conditions),
            boxes=tuple(self.boxes),
        )


def _aligned(embeddings: Embeddings | None) -> Alignment | str:
    if embeddings is None:
        return "the detector was built without MACL, or nobody is on the pairs"
    try:
        return alignment(embeddings.visible, embeddings.infrared, embeddings.identities)
    except TooFewPeopleError as few:
        return str(few)


def _reduced(trained: Trained, method: str) -> Detector:
    model = trained.config.model
    ways = {
        "full without infrared": replace(model, fusion="visible"),
        "full without visible": replace(model, fusion="infrared"),
        "full without gates": replace(model, msp=False),
    }
    if method not in ways:
        raise ValueError(f"there is no method {method!r}; expected one of {', '.join(ways)}")
    return with_options(trained, ways[method])
