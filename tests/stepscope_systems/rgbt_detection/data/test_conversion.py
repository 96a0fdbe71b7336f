"""What a conversion does to the folder it writes into."""

from dataclasses import replace
from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data.conversion.coco_lists import content as content_of
from stepscope_systems.rgbt_detection.data.conversion.convert import Form, Images, convert
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.kaist import read_kaist
from stepscope_systems.rgbt_detection.data.kaist_layout import Split
from stepscope_systems.rgbt_detection.data.llvip import read_llvip
from stepscope_systems.rgbt_detection.data.pairs import PairList, Person
from stepscope_systems.rgbt_detection.data.sources import Source
from tests.stepscope_systems.rgbt_detection.data.trees import llvip

pytestmark = pytest.mark.corpus


def listed(root: Path, *names: str) -> PairList:
    return read_llvip(llvip(root, names or ("010001", "020001")), "train")


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_images_are_copied_linked_or_left(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source")
    counts: dict[Images, int] = {"copy": 4, "link": 4, "none": 0}
    for how, count in counts.items():
        target = tmp_path / how
        assert convert(pairs, target, "voc", images=how).images == count
        images = sorted(target.rglob("*.jpg"))
        assert [image.is_symlink() for image in images] == [how == "link"] * count
        assert {image.read_bytes() for image in images} <= set(files(tmp_path / "source").values())


def test_a_second_split_joins_the_first_and_its_notes(tmp_path: Path) -> None:
    train = listed(tmp_path / "source")
    night = [replace(pair, condition="glare") for pair in train.pairs]
    convert(replace(train, pairs=tuple(night[:1])), tmp_path / "out", "voc")
    convert(replace(train, pairs=tuple(night[1:]), split="test"), tmp_path / "out", "voc")
    (first,) = read_llvip(tmp_path / "out", "train").pairs
    (second,) = read_llvip(tmp_path / "out", "test").pairs
    assert (first.condition, second.condition) == ("glare", "glare")


@pytest.mark.parametrize("images", ["copy", "none"])
@pytest.mark.parametrize("form", ["voc", "coco", "yolo", "kaist"])
def test_nothing_that_is_there_is_written_over(tmp_path: Path, form: Form, images: Images) -> None:
    pairs = listed(tmp_path / "source")
    convert(pairs, tmp_path / "out", form, images=images)
    before = files(tmp_path / "out")
    changed = replace(pairs, pairs=tuple(replace(pair, people=()) for pair in pairs.pairs))
    with pytest.raises(DataFault, match="it is there already"):
        convert(changed, tmp_path / "out", form, images=images)
    assert files(tmp_path / "out") == before


def test_the_same_annotations_may_be_written_again(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source")
    for _ in range(2):
        assert convert(pairs, tmp_path / "out", "coco", images="none").annotations == 2


def test_coco_lists_hold_a_scene_and_a_frame_that_the_name_does_not_state(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source", "010001")
    moved = replace(pairs.pairs[0], name="x", scene="bridge", frame=70)
    convert(replace(pairs, pairs=(moved,)), tmp_path / "out", "coco")
    (pair,) = Source(kind="coco", root=tmp_path / "out").inspect().sound().pairs
    assert (pair.name, pair.scene, pair.frame) == ("x", "bridge", 70)


def test_a_name_that_states_no_scene_is_made_of_scene_and_frame_in_voc(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source", "010001")
    moved = replace(pairs.pairs[0], name="x", scene="bridge/2", frame=70)
    convert(replace(pairs, pairs=(moved,)), tmp_path / "out", "voc")
    (pair,) = read_llvip(tmp_path / "out", "train").pairs
    assert (pair.name, pair.scene, pair.frame) == ("bridge_2_00070", "bridge_2", 70)


def test_ids_of_coco_lists_count_from_one_since_evaluators_take_0_for_none(tmp_path: Path) -> None:
    content = content_of(listed(tmp_path / "source"), "visible")
    for entries in (content.images, content.annotations, content.categories):
        assert [entry.id for entry in entries] == list(range(1, len(entries) + 1))
        assert entries


def test_names_that_give_one_file_are_refused(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source")
    same = [replace(pairs.pairs[0], name="a_1"), replace(pairs.pairs[1], name="a/1")]
    with pytest.raises(DataFault, match="two pairs whose names give one file"):
        convert(replace(pairs, pairs=tuple(same)), tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def test_two_pairs_of_one_scene_and_frame_cannot_be_kaist(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source", "010001", "010002")
    same = tuple(replace(pair, frame=7) for pair in pairs.pairs)
    with pytest.raises(DataFault, match="2 pairs of the scene 01 at frame 7"):
        convert(replace(pairs, pairs=same), tmp_path / "out", "kaist")


def test_a_label_of_two_words_cannot_be_kaist(tmp_path: Path) -> None:
    pairs = listed(tmp_path / "source", "010001")
    rider = Person(visible=(1, 1, 2, 2), infrared=None, label="bicycle rider")
    with pytest.raises(DataFault, match="the label 'bicycle rider'; expected one word"):
        convert(
            replace(pairs, pairs=(replace(pairs.pairs[0], people=(rider,)),)),
            tmp_path / "out",
            "kaist",
        )


@pytest.mark.parametrize(
    ("split", "condition", "part"),
    [
        ("train", "day", "set00"),
        ("train", "night", "set03"),
        ("train", "unknown", "set00"),
        ("test", "day", "set06"),
        ("test", "night", "set09"),
    ],
)
def test_the_set_of_kaist_says_split_and_light(
    tmp_path: Path, split: Split, condition: str, part: str
) -> None:
    pairs = listed(tmp_path / "source", "070012")
    lit = replace(pairs, split=split, pairs=(replace(pairs.pairs[0], condition=condition),))
    convert(lit, tmp_path / "out", "kaist")
    (pair,) = read_kaist(tmp_path / "out", "raw", split).pairs
    assert pair.name == f"{part}/V000/I00012"


def test_the_validation_split_is_said_to_be_lost_in_kaist(tmp_path: Path) -> None:
    pairs = replace(listed(tmp_path / "source"), split="validation")
    (loss,) = convert(pairs, tmp_path / "out", "kaist").losses
    assert loss == "the split validation has no sets of its own: written among train"
