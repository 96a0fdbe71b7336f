"""Both modalities and all boxes move as one; colours change in each on its own."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors

from stepscope_systems.rgbt_detection.config import DataConfig
from stepscope_systems.rgbt_detection.data.transforms import PairedAugmentation

pytestmark = pytest.mark.corpus
HEIGHT, WIDTH = 48, 64
STILL = DataConfig(flip=0.0, scale=(1.0, 1.0), brightness=0.0, contrast=0.0, infrared_gain=0.0)
MOVING = dataclasses.replace(STILL, flip=0.5, scale=(0.8, 1.3))
DRAWS = range(50)


def coordinates() -> Tensor:
    """Return an image whose pixels say where they were: x, y, and that there is a pixel."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    x, y = (columns + 0.5) / WIDTH, (rows + 0.5) / HEIGHT
    return torch.stack([x, y, torch.ones_like(x)])


def sample(
    visible: Tensor, infrared: Tensor, *boxes: tuple[float, ...], shift: float = 0.0
) -> dict[str, Any]:
    def table(offset: float) -> tv_tensors.BoundingBoxes:
        rows = torch.tensor(boxes).reshape(-1, 4) + offset
        return tv_tensors.BoundingBoxes(rows, format="XYXY", canvas_size=(HEIGHT, WIDTH))

    count = len(boxes)
    return {
        "visible": tv_tensors.Image(visible),
        "infrared": tv_tensors.Image(infrared),
        "boxes": table(0),
        "boxes_visible": table(0),
        "boxes_infrared": table(shift),
        "labels": torch.ones(count, dtype=torch.int64),
        "ignore": torch.arange(count) % 2 == 1,
        "occlusion": torch.arange(count),
        "identities": 100 + torch.arange(count),
        "name": "a",
    }


def augmented(config: DataConfig, given: dict[str, Any], draw: int) -> dict[str, Any]:
    torch.manual_seed(draw)
    return PairedAugmentation(config)(given)


@pytest.mark.parametrize("draw", DRAWS)
def test_flip_zoom_and_crop_are_the_same_for_both_modalities(draw: int) -> None:
    image = coordinates()
    found = augmented(MOVING, sample(image, image.clone()), draw)
    assert torch.equal(found["visible"], found["infrared"])
    assert found["visible"].shape == (3, HEIGHT, WIDTH)


def test_the_draws_mirror_enlarge_and_shrink() -> None:
    image = coordinates()
    found = [augmented(MOVING, sample(image, image), draw)["visible"] for draw in DRAWS]
    steps = torch.stack([each[0, 24, 33] - each[0, 24, 31] for each in found]) * WIDTH / 2
    assert 15 < int((steps < 0).sum()) < 35  # pixels of the original by pixel, negative: mirrored
    assert steps.abs().min() < 0.85
    assert steps.abs().max() > 1.15


@pytest.mark.parametrize("draw", DRAWS)
def test_boxes_enclose_what_they_enclosed(draw: int) -> None:
    box = (20.0, 12.0, 44.0, 36.0)
    x1, y1, x2, y2 = (int(each) for each in box)
    image = torch.zeros(3, HEIGHT, WIDTH)
    image[:, y1:y2, x1:x2] = 1
    found = augmented(MOVING, sample(image, image, box), draw)
    rows, columns = (found["visible"][0] > 0.5).nonzero(as_tuple=True)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    for key in ("boxes", "boxes_visible", "boxes_infrared"):
        assert (found[key][0] - torch.tensor(seen)).abs().max() <= 1, key


@pytest.mark.parametrize("draw", range(10))
def test_boxes_of_each_modality_keep_their_offset_by_the_zoom(draw: int) -> None:
    box = (24.0, 16.0, 36.0, 30.0)
    found = augmented(MOVING, sample(coordinates(), coordinates(), box, shift=2.0), draw)
    one, other = found["boxes_visible"][0], found["boxes_infrared"][0]
    zoom = (one[2:] - one[:2]) / torch.tensor([12.0, 14.0])
    offset = (other - one).reshape(2, 2).abs()  # mirrored: to the left
    torch.testing.assert_close(offset, 2 * zoom.expand(2, 2))


@pytest.mark.parametrize("draw", DRAWS)
def test_rows_of_all_fields_stay_with_the_same_person(draw: int) -> None:
    boxes = [(6.0 + 9 * each, 4.0, 12.0 + 9 * each, 44.0) for each in range(6)]
    config = dataclasses.replace(MOVING, scale=(1.5, 2.5))
    found = augmented(config, sample(coordinates(), coordinates(), *boxes), draw)
    count = len(found["labels"])
    assert count < 6
    assert found["identities"].tolist() == [100 + each for each in found["occlusion"].tolist()]
    assert found["ignore"].tolist() == [each % 2 == 1 for each in found["occlusion"].tolist()]
    for key in ("boxes", "boxes_visible", "boxes_infrared"):
        assert len(found[key]) == count
    for box, who in zip(found["boxes"], found["occlusion"].tolist(), strict=True):
        x, y = ((box[:2] + box[2:]) / 2).int().tolist()
        origin = found["visible"][0, y, x] * WIDTH
        assert boxes[who][0] - 1 <= origin <= boxes[who][2] + 1


@pytest.mark.parametrize(("left", "is_kept"), [(2.0, True), (1.9, False)])
def test_a_person_of_whom_hardly_a_pixel_is_left_goes(*, left: float, is_kept: bool) -> None:
    box = (WIDTH - left, 4.0, WIDTH + 10.0, 40.0)
    found = augmented(STILL, sample(coordinates(), coordinates(), box), 0)
    assert (len(found["boxes"]) == 1) is is_kept


def test_a_person_who_leaves_one_modality_goes_from_all() -> None:
    found = augmented(
        STILL, sample(coordinates(), coordinates(), (50.0, 4.0, 60.0, 40.0), shift=13.0), 0
    )
    assert {len(found[key]) for key in ("boxes", "boxes_visible", "boxes_infrared")} == {0}


def test_nothing_switched_on_changes_nothing() -> None:
    given = sample(
        torch.rand(3, HEIGHT, WIDTH), torch.rand(3, HEIGHT, WIDTH), (1.0, 2.0, 9.0, 30.0)
    )
    found = augmented(STILL, given, 0)
    for key in ("visible", "infrared", "boxes", "boxes_infrared"):
        torch.testing.assert_close(
            found[key].as_subclass(Tensor), given[key].as_subclass(Tensor), rtol=0, atol=1e-6
        )
    assert found["name"] == "a"


@pytest.mark.parametrize(
    ("options", "changed", "untouched"),
    [
        ({"brightness": 0.5, "contrast": 0.5}, "visible", "infrared"),
        ({"infrared_gain": 0.5}, "infrared", "visible"),
    ],
)
@pytest.mark.parametrize("draw", range(10))
def test_colours_of_one_modality_never_touch_the_other(
    options: dict[str, Any], changed: str, untouched: str, draw: int
) -> None:
    given = sample(torch.rand(3, HEIGHT, WIDTH), torch.rand(1, HEIGHT, WIDTH).expand(3, -1, -1))
    plain = augmented(STILL, given, draw)
    found = augmented(dataclasses.replace(STILL, **options), given, draw)
    assert torch.equal(found[untouched], plain[untouched])
    assert not torch.equal(found[changed], plain[changed])
    assert 0 <= found[changed].min() <= found[changed].max() <= 1


def test_infrared_channels_stay_equal() -> None:
    heat = torch.rand(1, HEIGHT, WIDTH).expand(3, -1, -1)
    config = dataclasses.replace(DataConfig(), infrared_gain=0.5)
    for draw in range(10):
        red, green, blue = augmented(config, sample(heat, heat), draw)["infrared"]
        assert torch.equal(red, green)
        assert torch.equal(green, blue)
