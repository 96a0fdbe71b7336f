"""The commands validate and convert."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from stepscope_systems.rgbt_detection.data import commands
from stepscope_systems.rgbt_detection.data.llvip import read_llvip
from stepscope_systems.rgbt_detection.data.sources import Source, kind_and_root
from stepscope_systems.rgbt_detection.data.validation import validate
from tests.stepscope_systems.rgbt_detection.data.trees import ONE, SIZE, bbgt, kaist, llvip

pytestmark = pytest.mark.corpus


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_sound_data_set_is_summed_up(tmp_path: Path, console: Console) -> None:
    source = Source(kind="llvip", root=llvip(tmp_path, ["010001"]))
    assert commands.validate(source, console=console) == 0
    assert read_llvip(tmp_path, "train").summary() in printed(console)
    assert "Nothing at fault" in printed(console)


def test_every_fault_is_listed_below_its_data_set(tmp_path: Path, console: Console) -> None:
    root = llvip(tmp_path, {"010001": (("[red]car", 1, 1, 9, 9),), "010002": ONE})
    (root / "infrared/train/010002.jpg").write_text("no image")
    source = Source(kind="llvip", root=root)
    assert commands.validate(source, console=console) == 1
    assert "Annotations/010001.xml" in printed(console)
    assert "[red]car" in printed(console)  # a label is no markup
    assert "infrared/train/010002.jpg" in printed(console)
    assert str(tmp_path) not in printed(console)
    assert "2 faults" in printed(console)


def test_on_a_narrow_terminal_the_whole_name_of_a_file_is_there(tmp_path: Path) -> None:
    name = "scene_" + "0" * 20 + "1"
    console = Console(file=io.StringIO(), width=60, color_system=None)
    root = llvip(tmp_path, {name: (("car", 1, 1, 9, 9),)})
    commands.validate(Source(kind="llvip", root=root), console=console)
    column = [line.split("│")[1].strip() for line in printed(console).splitlines() if "│" in line]
    assert "".join(column) == f"Annotations/{name}.xml"


@pytest.mark.parametrize(("most", "rest"), [(2, True), (3, False)])
def test_a_long_list_is_cut_and_the_rest_counted(
    tmp_path: Path, console: Console, most: int, *, rest: bool
) -> None:
    root = llvip(tmp_path, dict.fromkeys(("010001", "010002", "010003"), (("car", 1, 1, 9, 9),)))
    commands.validate(Source(kind="llvip", root=root), console=console, most=most)
    assert ("1 more" in printed(console)) == rest


def test_a_file_cut_short_is_found_by_decoding_alone(tmp_path: Path) -> None:
    root = llvip(tmp_path, ["010001", "010002"])
    path = root / "visible/train/010001.jpg"
    Image.effect_noise(SIZE, 60).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    source = Source(kind="llvip", root=root)
    assert validate(source) == []
    (fault,) = validate(source, decode=True)
    assert fault.path == path
    assert "cannot be read as an image" in fault.found


def test_converting_prints_what_is_lost(tmp_path: Path, console: Console) -> None:
    text = bbgt("people 4 5 16 35 0 0 0 0 0 0 0")
    root = kaist(tmp_path / "kaist", "annotations", {"set00/V000/I00001": text})
    source = Source(kind="kaist", root=root)
    assert commands.convert(source, tmp_path / "out", "yolo", console=console) == 0
    assert "Not held by yolo: 1 ignored people left out" in printed(console)
    assert (tmp_path / "out/labels/visible/train/set00_V000_I00001.txt").read_text() == ""


def test_a_data_set_at_fault_is_not_converted(tmp_path: Path, console: Console) -> None:
    root = llvip(tmp_path / "llvip", {"010001": (("car", 1, 1, 9, 9),)})
    source = Source(kind="llvip", root=root)
    assert commands.convert(source, tmp_path / "out", "coco", console=console) == 1
    assert "class 'car'" in printed(console)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["llvip", "kaist", "coco", "yolo"])
def test_a_data_set_is_named_by_kind_and_path(kind: str) -> None:
    assert kind_and_root(f"{kind}:a/b:c") == (kind, Path("a/b:c"))


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ("kaits:x", "did you mean kaist:PATH"),
        ("llvip", "llvip:PATH"),
        ("llvip:", "llvip:PATH"),
        ("/x", ""),
    ],
)
def test_what_names_no_data_set_is_told(data: str, hint: str) -> None:
    with pytest.raises(ValueError, match="expected one of llvip:PATH") as raised:
        kind_and_root(data)
    assert hint in str(raised.value)


def test_the_only_split_of_a_variant_need_not_be_named(tmp_path: Path) -> None:
    root = kaist(tmp_path, "annotations_KAIST_test_set", {"set06_V000_I00019": bbgt()})
    source = Source(kind="kaist", root=root, variant="improved-test")
    assert source.inspect().sound().split == "test"


def test_kaist_has_no_validation_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split its training pairs by scene"):
        Source(kind="kaist", root=tmp_path, split="validation").inspect()
