"""Images are read as training reads them, in pairs, and what is no pair is said at once."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.prediction.sources import image, of_folder, of_images
from tests.stepscope_systems.rgbt_detection.prediction.stand_in import infrared, saved, visible

BOX = (10, 20, 30, 50)


def folder(root: Path, names: str, *, warm: str = "infrared", suffix: str = ".png") -> Path:
    for name in names:
        saved(root / "visible" / f"{name}.png", visible())
        saved(root / warm / f"{name}{suffix}", infrared(BOX))
    return root


@pytest.mark.parametrize("warm", ["infrared", "lwir"])
def test_a_folder_gives_its_pairs_in_order_of_their_names(tmp_path: Path, warm: str) -> None:
    source = of_folder(folder(tmp_path, "bca", warm=warm, suffix=".bmp"), None)
    assert source.count == 3
    moments = list(source.moments())
    assert [each.name for each in moments] == ["a", "b", "c"]
    assert np.array_equal(moments[0].infrared, infrared(BOX) / np.float32(255))
    assert np.array_equal(moments[0].visible, visible() / np.float32(255))


def test_what_is_not_an_image_by_its_name_is_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    (tmp_path / "visible" / "notes.txt").write_text("weather: rain")
    assert of_folder(tmp_path, None).count == 1


def test_the_folder_of_a_missing_modality_is_not_looked_at(tmp_path: Path) -> None:
    folder(tmp_path, "ab")
    (tmp_path / "infrared" / "a.png").write_bytes(b"broken")
    (moment, _) = of_folder(tmp_path, "infrared").moments()
    assert not moment.infrared.any()
    assert "infrared is missing" in moment.notes[0]


def test_images_without_a_partner_are_counted_and_named(tmp_path: Path) -> None:
    folder(tmp_path, "abcde")
    for name in "acde":
        (tmp_path / "infrared" / f"{name}.png").unlink()
    (tmp_path / "visible" / "b.png").unlink()
    said = (
        "holds|4 visible and 1 infrared images (no infrared image a, no infrared image c, no "
        "infrared image d and 2 more); expected one of each under the same name"
    ).removeprefix("holds|")
    with pytest.raises(DataFault, match=re.escape(said)):
        of_folder(tmp_path, None)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("nowhere", "nowhere: no such folder; expected a folder with visible/"),
        ("empty", "empty: holds nothing; expected one folder of the visible images"),
        ("single", "infrared or lwir: rename it, or declare that there is none: --missing"),
        ("single", "single: holds visible; expected one folder of the infrared images, named "),
        ("double", "double: holds infrared, lwir, visible; expected one folder"),
        ("hollow", "visible: no image; expected files ending in .bmp"),
        ("twice", "a.png: the folder also has a.bmp; expected one image of each name"),
    ],
)  # fmt: skip
def test_a_folder_that_makes_no_pairs_is_one_clear_error(
    tmp_path: Path, broken: str, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    saved(tmp_path / "single" / "visible" / "a.png", visible())
    folder(tmp_path / "double", "a")
    (tmp_path / "double" / "lwir").mkdir()
    (tmp_path / "hollow" / "visible").mkdir(parents=True)
    (tmp_path / "hollow" / "infrared").mkdir()
    folder(tmp_path / "twice", "a")
    saved(tmp_path / "twice" / "visible" / "a.bmp", visible())
    with pytest.raises(DataFault, match=re.escape(said)):
        of_folder(tmp_path / broken, None)


def test_a_file_that_is_no_image_is_found_before_the_first_pair(tmp_path: Path) -> None:
    folder(tmp_path, "abc")
    (tmp_path / "infrared" / "c.png").write_bytes(b"not an image")
    with pytest.raises(DataFault, match=r"c\.png: cannot be read as an image"):
        of_folder(tmp_path, None)


def test_an_image_cut_short_is_said_by_name(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    )
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DataFault, match=r"a\.png: cannot be read as an image"):
        image(path, "visible")


def test_a_path_that_leads_nowhere_offers_to_do_without(tmp_path: Path) -> None:
    paths = {"visible": saved(tmp_path / "v.png", visible()), "infrared": tmp_path / "i.png"}
    with pytest.raises(DataFault, match=r"i\.png: no such file; .*--missing infrared"):
        of_images(paths, None)


def test_sixteen_bits_are_taken_by_the_range_of_sixteen_bits(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    path = saved(tmp_path / "deep.png", deep)
    assert np.allclose(image(path, "infrared"), deep / 65535)
    assert np.allclose(image(path, "visible"), (deep / 65535)[..., None])


def test_an_image_of_floating_point_numbers_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "celsius.tif", np.full((4, 4), 21.5, np.float32))
    with pytest.raises(DataFault, match=r"celsius\.tif: an image of floating-point numbers"):
        image(path, "infrared")


def test_a_photograph_that_says_how_it_was_held_is_turned_upright(tmp_path: Path) -> None:
    pixels = visible((80, 64))
    lying = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    path = tmp_path / "phone.png"
    lying.save(path, exif=exif)
    assert np.array_equal(image(path, "visible"), pixels / np.float32(255))
