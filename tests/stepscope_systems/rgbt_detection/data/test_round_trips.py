"""Lists written in a layout and read again by its reader."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.conversion.convert import Conversion, Form, convert
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, PairList, Person
from stepscope_systems.rgbt_detection.data.sources import Source
from tests.stepscope_systems.rgbt_detection.data.drawn import LABELS, pair_lists
from tests.stepscope_systems.rgbt_detection.data.trees import image

pytestmark = pytest.mark.corpus
IGNORED = frozenset(LABELS) - {"person"}


@contextmanager
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def drawn(data: st.DataObject, root: Path, **kinds: tuple[str, ...]) -> PairList:
    return data.draw(pair_lists(image(root / "source.jpg"), **kinds))


def written(pairs: PairList, root: Path, form: Form, **options: EvalBoxes) -> Conversion:
    return convert(pairs, root / form, form, images="link", **options)


def told(pairs: PairList) -> list[object]:
    return [
        (pair.name, pair.width, pair.height, pair.people, pair.scene, pair.frame, pair.condition)
        for pair in pairs.pairs
    ]


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_kaist_text_holds_all_but_what_it_calls_lost(data: st.DataObject) -> None:
    with folder() as root:
        pairs = drawn(data, root)
        conversion = written(pairs, root, "kaist")
        is_paired = any(one.visible != one.infrared for pair in pairs.pairs for one in pair.people)
        source = Source(kind="kaist", root=root / "kaist", variant="paired" if is_paired else "raw")
        back = source.inspect().sound()
        assert told(back) == told(pairs)
        assert back.fingerprint() == pairs.fingerprint()
        assert conversion.losses == ()


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_coco_lists_hold_everything(data: st.DataObject) -> None:
    with folder() as root:
        pairs = drawn(data, root)
        assert written(pairs, root, "coco").losses == ()
        back = Source(kind="coco", root=root / "coco", ignored=IGNORED).inspect().sound()
        for before, after in zip(pairs.pairs, back.pairs, strict=True):
            assert Counter(after.people) == Counter(before.people)
            assert after.name == before.name.replace("/", "_")
            assert (after.scene, after.frame, after.condition) == (
                before.scene,
                before.frame,
                before.condition,
            )


@settings(max_examples=12, deadline=None)
@given(data=st.data(), eval_boxes=st.sampled_from(("visible", "infrared", "union")))
def test_voc_holds_the_box_by_which_detections_are_judged(
    data: st.DataObject, eval_boxes: EvalBoxes
) -> None:
    with folder() as root:
        pairs = drawn(data, root, labels=("person",), names=("010001", "010002", "020001"))
        people = [one for pair in pairs.pairs for one in pair.people]
        conversion = written(pairs, root, "voc", eval_boxes=eval_boxes)
        reading = Source(kind="llvip", root=root / "voc").inspect()
        assume(not any("repeats" in fault.found for fault in reading.faults))
        judged = [replace_boxes(one, eval_boxes) for one in people]
        assert [one for pair in reading.sound().pairs for one in pair.people] == judged
        assert [pair.condition for pair in reading.pairs.pairs] == [
            pair.condition for pair in pairs.pairs
        ]
        differ = sum(one.visible != one.infrared for one in people)
        assert bool(conversion.losses) == bool(differ)


def replace_boxes(person: Person, eval_boxes: EvalBoxes) -> Person:
    box = person.box(eval_boxes)
    return replace(person, visible=box, infrared=box)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_yolo_holds_the_boxes_of_who_is_to_be_found(data: st.DataObject) -> None:
    with folder() as root:
        pairs = drawn(data, root)
        conversion = written(pairs, root, "yolo")
        people = [one for pair in pairs.pairs for one in pair.people]
        ignored = sum(one.ignore for one in people)
        lost = [loss for loss in conversion.losses if "ignored people" in loss]
        assert lost == (
            [f"{ignored} ignored people left out, who now count as background"] if ignored else []
        )
        back = Source(kind="yolo", root=root / "yolo", repair=True).inspect().sound()
        for before, after in zip(pairs.pairs, back.pairs, strict=True):
            kept = [one for one in before.people if not one.ignore]
            for modality in ("visible", "infrared"):
                boxes = {getattr(one, modality) for one in kept} - {None}
                assert {getattr(one, modality) for one in after.people} - {None} == boxes


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_reference_loader_of_coco_finds_the_same_boxes(data: st.DataObject) -> None:
    from faster_coco_eval import COCO

    with folder() as root:
        pairs = drawn(data, root)
        written(pairs, root, "coco")
        for modality in ("visible", "infrared"):
            loaded = COCO(str(root / f"coco/{modality}_train.json"))
            names = {each["id"]: each["name"] for each in loaded.loadCats(loaded.getCatIds())}
            for number, pair in zip(sorted(loaded.getImgIds()), pairs.pairs, strict=True):
                entries = loaded.loadAnns(loaded.getAnnIds(imgIds=[number]))
                found = [
                    (each["bbox"], names[each["category_id"]], each["iscrowd"]) for each in entries
                ]
                boxes = [(getattr(one, modality), one) for one in pair.people]
                assert found == [
                    ([box[0], box[1], box[2] - box[0], box[3] - box[1]], one.label, int(one.ignore))
                    for box, one in boxes
                    if box is not None
                ]
                assert all(each["area"] == each["bbox"][2] * each["bbox"][3] for each in entries)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_llvip_becomes_kaist_and_llvip_again(data: st.DataObject) -> None:
    with folder() as root:
        first = drawn(data, root, labels=("person",), names=("010001", "010002", "020001"))
        people = [[replace_boxes(one, "visible") for one in pair.people] for pair in first.pairs]
        kept = tuple(
            replace(pair, people=tuple(crowd))
            for pair, crowd in zip(first.pairs, people, strict=True)
        )
        pairs = replace(first, pairs=kept)
        written(pairs, root, "kaist")
        there = Source(kind="kaist", root=root / "kaist").inspect()
        assume(not any("repeats" in fault.found for fault in there.faults))
        written(there.sound(), root, "voc")
        back = Source(kind="llvip", root=root / "voc").inspect().sound()
        assert Counter(pair.people for pair in back.pairs) == Counter(pair.people for pair in kept)
        assert Counter(pair.condition for pair in back.pairs) == Counter(
            pair.condition for pair in kept
        )
