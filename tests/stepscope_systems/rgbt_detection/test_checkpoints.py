"""A trained detector comes back from the folder of its run as it was."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stepscope_systems.rgbt_detection.checkpoints import (
    read_config,
    read_trained,
    with_options,
    write_config,
)
from stepscope_systems.rgbt_detection.config import PRESETS, Config, for_stage
from stepscope_systems.rgbt_detection.model import Detector
from tests.stepscope_systems.rgbt_detection.model.small import SMALL, detector, images

pytestmark = pytest.mark.corpus


def saved(model: Detector, folder: Path, config: Config | None = None) -> Path:
    state = {f"detector.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state}, folder / "best.ckpt")
    write_config(folder, config or Config(model=model.config), "stage1")
    return folder / "best.ckpt"


def scores(model: Detector, visible: list[Tensor], infrared: list[Tensor]) -> Tensor:
    with torch.no_grad():
        found = model.eval()(visible, infrared)
    assert isinstance(found, list)
    return found[0]["scores"]


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_a_configuration_comes_back_as_it_was_written(
    tmp_path: Path, preset: str, stage: str
) -> None:
    config = for_stage(PRESETS[preset](), stage)  # type: ignore[arg-type]
    write_config(tmp_path, config, stage)  # type: ignore[arg-type]
    assert read_config(tmp_path / "config.yaml") == (config, stage)


def test_a_trained_detector_detects_as_before(tmp_path: Path) -> None:
    model, pair = detector(), (images(1), images(1))
    trained = read_trained(saved(model, tmp_path))
    assert not trained.detector.training
    assert (trained.stage, trained.config.model) == ("stage1", SMALL)
    assert torch.equal(scores(trained.detector, *pair), scores(model, *pair))


def test_the_same_weights_serve_another_fusion(tmp_path: Path) -> None:
    model, pair = detector(), (images(1), images(1))
    trained = read_trained(saved(model, tmp_path))
    alone = with_options(trained, dataclasses.replace(SMALL, fusion="visible"))
    same = detector(fusion="visible")
    same.load_state_dict(model.state_dict())
    assert torch.equal(scores(alone, *pair), scores(same, *pair))
    assert not torch.equal(scores(alone, *pair), scores(model, *pair))


def test_the_same_weights_serve_without_the_gates(tmp_path: Path) -> None:
    trained = read_trained(saved(detector(), tmp_path))
    plain = with_options(trained, dataclasses.replace(SMALL, msp=False))
    assert plain.msp is None
    pair = (images(1), images(1))
    assert torch.equal(scores(plain, *pair), scores(trained.detector, *pair))  # new gates are 1


@pytest.mark.parametrize("other", [{"msp": False}, {"queue": 8}, {"representation": 32}])
def test_a_checkpoint_that_its_configuration_does_not_fit_is_refused(
    tmp_path: Path, other: dict[str, object]
) -> None:
    config = Config(model=dataclasses.replace(SMALL, **other))  # type: ignore[arg-type]
    path = saved(detector(), tmp_path, config)
    with pytest.raises(ValueError, match=r"best\.ckpt.*(do not fit each other|tensors fit)"):
        read_trained(path)


def test_a_checkpoint_without_its_configuration_is_refused(tmp_path: Path) -> None:
    path = saved(detector(), tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.yaml is not there; expected the config"):
        read_trained(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "a: [",
        "stage: stage3",
        "stage: stage1\nmodel: {channels: wide}",
        "stage: stage1\nmodel: {macl: false}",
        "model: {}",
    ],
)
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml is not a configuration of a run"):
        read_config(path)


def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"config\.yaml is not a configuration of a run"):
        read_config(path)
