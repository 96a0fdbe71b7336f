"""`validate`, `convert` and `synthesise`, as they are typed."""

from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.command import main
from stepscope_systems.rgbt_detection.data.kaist import read_kaist
from tests.stepscope_systems.rgbt_detection.data.trees import bbgt, kaist, llvip, paired

pytestmark = pytest.mark.corpus
LINE = bbgt("person 4 5 16 35 0 0 0 0 0 0 0")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    return capsys.readouterr().err


def test_without_a_variant_kaist_is_read_as_in_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paired(tmp_path, "set00/V000/I00001", LINE, LINE)
    assert main(["validate", f"kaist:{tmp_path}"]) == 0
    assert "KAIST (paired;" in capsys.readouterr().out


def test_the_only_split_of_a_variant_need_not_be_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaist(tmp_path, "annotations_KAIST_test_set", {"set06_V000_I00019": LINE})
    assert main(["validate", f"kaist:{tmp_path}", "--variant", "improved-test"]) == 0
    assert "test: 1 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "option", "owner"),
    [
        ("llvip", ["--variant", "paired"], "kaist"),
        ("coco", ["--frames", "train.txt"], "kaist"),
        ("kaist", ["--annotations", "2021"], "llvip"),
        ("llvip", ["--ignore", "car"], "coco and yolo"),
    ],
)
def test_an_option_of_another_data_set_is_refused(
    data: str, option: list[str], owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["validate", f"{data}:/nowhere", *option], capsys)
    assert f"{option[0]} is of {owner}, and the data is {data}; leave it out" in said


def test_one_fault_is_one_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    llvip(tmp_path, {"010001": (("car", 1, 1, 9, 9),)})
    assert main(["validate", f"llvip:{tmp_path}"]) == 1
    assert "1 fault; the pairs above are those without." in capsys.readouterr().out


def test_what_the_synthetic_set_can_be_made_to_lack_can_be_typed(tmp_path: Path) -> None:
    target = tmp_path / "made"
    options = ["--layout", "kaist", "--misalignment", "6", "--missing", "1"]
    assert main(["synthesise", str(target), "--train", "12", "--test", "0", *options]) == 0
    people = [
        person
        for pair in read_kaist(target, "paired", "train", subset=True).pairs
        for person in pair.people
    ]
    assert any(person.visible != person.infrared for person in people)
    infrared = next((target / "images").rglob("lwir/*.jpg"))
    assert set(_pixels(infrared)) == {0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--train", "-1"], "--train is -1; expected 0 or more"),
        (["--train", "0", "--test", "0"], "expected one pair at least"),
        (["--missing", "1.5"], "--missing is 1.5; expected 0 to 1"),
        (["--seed", "-1"], "--seed is -1; expected 0 or more"),
        (["--misalignment", "2"], "expected --layout kaist"),
        (["--no-shared-cue"], "expected --layout kaist"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_makes_no_folder(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(["synthesise", str(tmp_path / "made"), *options], capsys)
    assert not (tmp_path / "made").exists()


def _pixels(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        return image.tobytes()
