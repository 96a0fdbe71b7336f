"""The layout of LLVIP: one XML file for both modalities."""

from pathlib import Path

from stepscope_systems.rgbt_detection.data.conversion.plan import (
    Plan,
    annotated,
    boxes_differ,
    flat,
    note,
)
from stepscope_systems.rgbt_detection.data.formats import voc
from stepscope_systems.rgbt_detection.data.formats.objects import Annotation
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, Pair, PairList
from stepscope_systems.rgbt_detection.data.scenes import scene_and_frame


def plan(pairs: PairList, eval_boxes: EvalBoxes) -> Plan:
    """Return the files of visible, infrared and Annotations; names state scene and frame."""
    texts: dict[Path, str] = {}
    images: dict[Path, Path] = {}
    notes = {}
    for pair in pairs.pairs:
        name = _name(pair)
        for modality, source in (("visible", pair.visible), ("infrared", pair.infrared)):
            images[Path(modality, pairs.split, name + source.suffix)] = source
        objects = tuple(annotated(person, eval_boxes) for person in pair.people)
        annotation = Annotation(objects=objects, size=(pair.width, pair.height))
        texts[Path("Annotations", f"{name}.xml")] = voc.text(name + pair.visible.suffix, annotation)
        said = note(pair, identities=False)  # they stand in the XML
        if said.condition:
            notes[name] = said
    losses = []
    if count := boxes_differ(pairs):
        losses.append(
            f"{count:,} people whose boxes differ between modalities keep the {eval_boxes} one"
        )
    return Plan(texts=texts, images=images, notes=notes, losses=tuple(losses))


def _name(pair: Pair) -> str:
    name = flat(pair.name)
    return name if scene_and_frame(name) else f"{flat(pair.scene)}_{pair.frame:05}"
