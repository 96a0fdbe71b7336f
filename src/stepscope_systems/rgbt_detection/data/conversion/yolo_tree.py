"""The layout of YOLO: images and labels beside each other, each modality by itself."""

from pathlib import Path

from stepscope_systems.rgbt_detection.data.conversion.plan import (
    Plan,
    annotated,
    everyone,
    flat,
    labels,
    seen_in,
)
from stepscope_systems.rgbt_detection.data.formats import yolo
from stepscope_systems.rgbt_detection.data.formats.objects import Annotation
from stepscope_systems.rgbt_detection.data.pairs import Modality, PairList

MODALITIES: tuple[Modality, Modality] = ("visible", "infrared")


def plan(pairs: PairList) -> Plan:
    """Return images and labels of both modalities, and a data file for each.

    Ignored people are left out: YOLO has no place for them.
    """
    classes = [label for label in labels(pairs) if label in _kept(pairs)] or ["person"]
    texts: dict[Path, str] = {}
    images: dict[Path, Path] = {}
    for pair in pairs.pairs:
        name = flat(pair.name)
        for modality in MODALITIES:
            source = pair.visible if modality == "visible" else pair.infrared
            images[Path("images", modality, pairs.split, name + source.suffix)] = source
            kept = [one for one in pair.people if not one.ignore and seen_in(one, modality)]
            objects = tuple(annotated(person, modality) for person in kept)
            annotation = Annotation(objects=objects, size=(pair.width, pair.height))
            label_file = Path("labels", modality, pairs.split, f"{name}.txt")
            texts[label_file] = yolo.text(annotation, classes)
    texts[Path("classes.txt")] = "".join(f"{label}\n" for label in classes)
    return Plan(texts=texts, images=images, notes={}, losses=tuple(_losses(pairs)))


def _kept(pairs: PairList) -> set[str]:
    return {person.label for person in everyone(pairs) if not person.ignore}


def _losses(pairs: PairList) -> list[str]:
    people = list(everyone(pairs))
    counts = {
        "ignored people left out, who now count as background": sum(p.ignore for p in people),
        "levels of occlusion lost": sum(p.occlusion > 0 for p in people),
        "identities lost": sum(p.identity >= 0 for p in people),
        "conditions lost": sum(pair.condition != "unknown" for pair in pairs.pairs),
        "links between the boxes of two modalities lost": sum(
            p.visible != p.infrared for p in people
        ),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]
