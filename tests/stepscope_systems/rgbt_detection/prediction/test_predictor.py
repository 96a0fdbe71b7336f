"""Predictions lie in pixels of the original image, whatever size the detector sees."""

import numpy as np
import pytest
import torch

from stepscope_systems.rgbt_detection.prediction.moments import Moment, paired
from stepscope_systems.rgbt_detection.prediction.predictor import Predictor
from tests.stepscope_systems.rgbt_detection.prediction.stand_in import (
    BrightRectangle,
    infrared,
    visible,
)

BOX = (16, 8, 48, 56)


def moment(size: tuple[int, int] = (80, 64)) -> Moment:
    return paired("190001", visible(size) / np.float32(255), infrared(BOX, size) / np.float32(255))


def test_the_detector_sees_colours_and_the_infrared_channel_three_times() -> None:
    detector = BrightRectangle()
    Predictor(detector)([moment()])
    ((seen, warm),) = detector.seen
    assert torch.equal(seen.permute(1, 2, 0), torch.from_numpy(moment().visible))
    assert warm.shape == (3, 64, 80)
    for channel in warm:
        assert torch.equal(channel, torch.from_numpy(moment().infrared))


@pytest.mark.parametrize("size", [None, (64, 80), (32, 40), (128, 160), (32, 80)])
def test_boxes_return_to_original_pixels(size: tuple[int, int] | None) -> None:
    detector = BrightRectangle()
    (result,) = Predictor(detector, size)([moment()])
    assert [each.shape[1:] for each in detector.seen[0]] == [size or (64, 80)] * 2
    assert result.detected.tolist() == [list(BOX)]
    assert (result.width, result.height, result.name) == (80, 64, "190001")
    assert result.scores[0] == pytest.approx(230 / 255)


def test_shrinking_leaves_no_pixel_out() -> None:
    striped = np.zeros((64, 80), np.float32)
    striped[:, ::4] = 1
    detector = BrightRectangle()
    Predictor(detector, (16, 20))([paired("1", visible() / np.float32(255), striped)])
    inner = detector.seen[0][1][0, 2:-2, 2:-2]
    assert float(inner.mean()) == pytest.approx(0.25, abs=0.01)
    assert float(inner.std()) < 0.01


def test_pairs_of_several_sizes_go_together() -> None:
    results = Predictor(BrightRectangle())([moment(), moment((160, 96))])
    assert [each.width for each in results] == [80, 160]
    assert [each.detected.tolist() for each in results] == [[list(BOX)]] * 2


def test_a_pair_in_which_nobody_is_found_has_no_detection() -> None:
    dark = paired("1", visible() / np.float32(255), np.zeros((64, 80), np.float32))
    (result,) = Predictor(BrightRectangle(), (32, 40))([dark])
    assert result.detected.shape == (0, 4)
    assert result.scores.shape == (0,)


@pytest.mark.corpus
def test_the_real_detector_keeps_to_what_the_predictor_asks_of_it() -> None:
    from stepscope_systems.rgbt_detection.config import nano
    from stepscope_systems.rgbt_detection.model import Detector

    torch.manual_seed(0)
    settings = nano().model
    detector = Detector(settings)
    results = Predictor(detector)([moment(), moment((160, 96))])
    for result in results:
        assert 0 < len(result.detected) <= settings.detections
        assert (result.detected >= 0).all()
        assert (result.detected <= np.array([result.width, result.height] * 2)).all()
        assert not detector.training


@pytest.mark.parametrize(
    "device",
    [
        "gpux",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
        ),
    ],
)
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=f"the device '{device}' cannot be had here .*; expected"):
        Predictor(torch.nn.Linear(1, 1), device=device)
