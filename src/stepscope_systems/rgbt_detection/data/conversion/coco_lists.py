"""Two COCO lists, one a modality, whose entries know each other by `pair_id`."""

from pathlib import Path

from stepscope_systems.rgbt_detection.data.conversion.plan import Plan, flat, labels
from stepscope_systems.rgbt_detection.data.formats import coco
from stepscope_systems.rgbt_detection.data.formats.numbers import extent
from stepscope_systems.rgbt_detection.data.pairs import Modality, PairList, Person

MODALITIES: tuple[Modality, Modality] = ("visible", "infrared")


def plan(pairs: PairList) -> Plan:
    """Return visible_<split>.json, infrared_<split>.json and the images beside them."""
    images = {}
    for pair in pairs.pairs:
        name = flat(pair.name)
        images[Path("visible", name + pair.visible.suffix)] = pair.visible
        images[Path("infrared", name + pair.infrared.suffix)] = pair.infrared
    texts = {
        Path(f"{modality}_{pairs.split}.json"): coco.text(content(pairs, modality))
        for modality in MODALITIES
    }
    return Plan(texts=texts, images=images, notes={}, losses=())


def content(pairs: PairList, modality: Modality) -> coco.CocoList:
    """Return the list of one modality; ids count from 1, since evaluators take 0 for none."""
    names = labels(pairs)
    images: list[coco.CocoImage] = []
    objects: list[coco.CocoObject] = []
    pair_id = 0
    for number, pair in enumerate(pairs.pairs, start=1):
        source = pair.visible if modality == "visible" else pair.infrared
        images.append(
            coco.CocoImage(
                id=number,
                width=pair.width,
                height=pair.height,
                file_name=flat(pair.name) + source.suffix,
                scene=pair.scene,
                frame=pair.frame,
                condition=pair.condition,
            )
        )
        for person in pair.people:
            pair_id += 1
            box = person.visible if modality == "visible" else person.infrared
            if box is not None:
                bbox = (box[0], box[1], extent(box[0], box[2]), extent(box[1], box[3]))
                category = 1 + names.index(person.label)
                objects.append(_object(len(objects) + 1, number, category, bbox, person, pair_id))
    categories = [coco.CocoCategory(id=i, name=name) for i, name in enumerate(names, start=1)]
    return coco.CocoList(images=images, annotations=objects, categories=categories)


def _object(
    number: int,
    image: int,
    category: int,
    bbox: tuple[float, float, float, float],
    person: Person,
    pair_id: int,
) -> coco.CocoObject:
    return coco.CocoObject(
        id=number,
        image_id=image,
        category_id=category,
        bbox=bbox,
        area=bbox[2] * bbox[3],
        iscrowd=int(person.ignore),  # what COCO evaluators ignore
        occlusion=person.occlusion,
        identity=person.identity,
        pair_id=pair_id,
    )
