"""What the detector sees of two modalities."""

import pytest
import torch

from stepscope_systems.rgbt_detection.model.fusion import Fusion, fuse

pytestmark = pytest.mark.corpus


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        ("mean", [2.0, 1.0]),
        ("max", [3.0, 4.0]),
        ("visible", [1.0, 4.0]),
        ("infrared", [3.0, -2.0]),
    ],
)
def test_each_fusion_does_what_its_name_says(fusion: Fusion, expected: list[float]) -> None:
    visible, infrared = {"0": torch.tensor([1.0, 4.0])}, {"0": torch.tensor([3.0, -2.0])}
    assert fuse(visible, infrared, fusion)["0"].tolist() == expected
