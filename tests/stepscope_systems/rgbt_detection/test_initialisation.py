"""What a run starts from is named and counted, and too little of it is refused."""

import dataclasses
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from stepscope_systems.rgbt_detection.config import Config, RunConfig, Stage
from stepscope_systems.rgbt_detection.initialisation import (
    expect_start,
    initialise,
    load,
    weights_in,
)
from stepscope_systems.rgbt_detection.model import Detector
from tests.stepscope_systems.rgbt_detection.model.small import SMALL, apart

pytestmark = pytest.mark.corpus
R18 = dataclasses.replace(SMALL, body="resnet18")


def config(model: Any = SMALL, **run: Any) -> Config:
    return Config(model=model, run=RunConfig(**run))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.clone()
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor)
    }


def as_checkpoint(detector: Detector, path: Path) -> str:
    state = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)
    return str(path)


def test_stage_2_without_a_checkpoint_is_refused_with_the_ways_out() -> None:
    with pytest.raises(ValueError, match=r"--run\.checkpoint FILE .*--run\.init imagenet, coco or"):
        initialise(nn.Module(), config(), "stage2")


@pytest.mark.parametrize(("stage", "init"), [("stage1", None), ("stage2", "scratch")])
def test_what_is_to_stay_random_stays_random_and_is_named(stage: Stage, init: Any) -> None:
    detector = Detector(SMALL)
    before = tensors(detector)
    found = initialise(detector, config(init=init), stage)
    assert all(torch.equal(value, before[name]) for name, value in tensors(detector).items())
    assert (found.names, found.nbytes) == ((), 0)
    assert len(found.left) == len(list(detector.parameters()))
    assert found.summary().startswith("from scratch: 0 tensors, 0.0 MB (nothing); ")


def test_stage_2_takes_over_the_whole_of_stage_1_and_its_queue(tmp_path: Path) -> None:
    first, second = Detector(SMALL), Detector(SMALL)
    assert first.alignment is not None
    assert second.alignment is not None
    first.alignment(*torch.randn(2, 3, SMALL.channels), apart(3))
    path = as_checkpoint(first, tmp_path / "best.ckpt")
    found = initialise(second, config(checkpoint=path), "stage2")
    expected = tensors(first)
    assert all(torch.equal(value, expected[name]) for name, value in tensors(second).items())
    assert set(found.names) == expected.keys()
    assert found.nbytes == sum(each.numel() * each.element_size() for each in expected.values())
    assert (found.left, found.skipped) == ((), {})
    assert second.alignment.dhn is not None
    assert (second.alignment.dhn.filled, second.alignment.dhn.pointer) == (3, 3)
    assert found.summary().startswith(f"from the checkpoint {path}: {len(expected)} tensors, ")
    assert "body 7" in found.summary()


def test_a_queue_of_another_size_starts_empty_and_is_told(tmp_path: Path) -> None:
    first = Detector(SMALL)
    second = Detector(dataclasses.replace(SMALL, queue=8))
    assert first.alignment is not None
    assert second.alignment is not None
    first.alignment(*torch.randn(2, 12, SMALL.channels), apart(12))
    path = as_checkpoint(first, tmp_path / "best.ckpt")
    found = initialise(second, config(checkpoint=path), "stage2")
    assert found.skipped["alignment.dhn.rows"] == "2x16x128, here 2x8x128"
    assert "skipped 4: alignment.dhn.rows (2x16x128, here 2x8x128)" in found.summary()
    assert second.alignment.dhn is not None
    assert second.alignment.dhn.filled == 0


def test_a_checkpoint_of_another_shape_is_refused_by_name_and_changes_nothing(
    tmp_path: Path,
) -> None:
    path = as_checkpoint(
        Detector(dataclasses.replace(SMALL, representation=32)), tmp_path / "a.ckpt"
    )
    detector = Detector(SMALL)
    before = tensors(detector)
    with pytest.raises(
        ValueError,
        match=r"a\.ckpt: \d+ of \d+ tensors fit \(roi_heads\.box_head\.fc6\.weight: 32x1568, here "
        r"64x1568, .*\); expected 90%, and none of another shape: give the preset",
    ):
        initialise(detector, config(checkpoint=path), "stage2")
    assert all(torch.equal(value, before[name]) for name, value in tensors(detector).items())


def test_a_checkpoint_of_something_else_is_refused_by_what_is_missing(tmp_path: Path) -> None:
    torch.save({"state_dict": {"encoder.weight": torch.zeros(2)}}, tmp_path / "a.ckpt")
    with pytest.raises(
        ValueError, match=r"0 of \d+ tensors fit \(body\.conv1\.weight is missing, "
    ):
        initialise(Detector(SMALL), config(checkpoint=str(tmp_path / "a.ckpt")), "stage2")


def test_a_part_that_stage_1_did_not_have_is_named_as_random(tmp_path: Path) -> None:
    first = Detector(dataclasses.replace(SMALL, msp=False))
    path = as_checkpoint(first, tmp_path / "a.ckpt")
    found = initialise(Detector(SMALL), config(checkpoint=path), "stage2")
    assert set(found.left) == {
        "msp.alpha",
        *(f"msp.{which}.{what}" for which in ("average", "maximum") for what in ("weight", "bias")),
    }


@pytest.mark.parametrize(("share", "is_enough"), [(0.89, False), (0.91, True)])
def test_nine_tenths_of_a_body_must_fit(*, share: float, is_enough: bool) -> None:
    detector = Detector(SMALL)
    body = {
        name: value
        for name, value in tensors(detector).items()
        if name.startswith("body.") and not name.endswith("num_batches_tracked")
    }
    state = dict(list(body.items())[: round(share * len(body))])
    if is_enough:
        assert len(load(detector, state, "some", whole=False).names) == len(state)
    else:
        with pytest.raises(ValueError, match=f"some: {len(state)} of {len(body)} tensors fit"):
            load(detector, state, "some", whole=False)


@pytest.mark.parametrize("has_counters", [True, False])
def test_imagenet_weights_go_into_the_body(tmp_path: Path, *, has_counters: bool) -> None:
    theirs = tensors(resnet18())
    if not has_counters:  # as in files older than these counters
        theirs = {name: each for name, each in theirs.items() if "num_batches" not in name}
    torch.save(theirs, tmp_path / "r18.pth")
    detector = Detector(R18)
    found = initialise(
        detector, config(R18, init="imagenet", weights=str(tmp_path / "r18.pth")), "stage1"
    )
    for name, value in tensors(detector.body).items():
        if name in theirs:
            assert torch.equal(value, theirs[name]), name
    assert found.skipped == dict.fromkeys(
        ("body.fc.weight", "body.fc.bias"), "not in this detector"
    )
    assert len(found.names) == len(theirs) - 2
    assert not any(name.startswith("body.") for name in found.left)
    assert "fpn.inner_blocks.0.0.weight" in found.left


def test_imagenet_weights_of_another_body_are_refused(tmp_path: Path) -> None:
    torch.save(tensors(resnet18()), tmp_path / "r18.pth")
    run = {"init": "imagenet", "weights": str(tmp_path / "r18.pth")}
    deeper = dataclasses.replace(R18, body="resnet50")
    with pytest.raises(ValueError, match="expected 90%: give the preset"):
        initialise(Detector(deeper), config(deeper, **run), "stage1")


def test_coco_weights_go_into_every_part_that_fits(tmp_path: Path) -> None:
    # The layout of torchvision's published detector: frozen normalisation, 91 classes.
    whole = FasterRCNN(
        resnet_fpn_backbone(backbone_name="resnet18", weights=None),
        box_head=TwoMLPHead(256 * 7**2, 64),
        box_predictor=FastRCNNPredictor(64, 91),
    )
    theirs = tensors(whole)
    torch.save(theirs, tmp_path / "coco.pth")
    model = dataclasses.replace(R18, channels=256, dhn=False)
    detector = Detector(model)
    found = initialise(
        detector, config(model, init="coco", weights=str(tmp_path / "coco.pth")), "stage2"
    )
    ours = tensors(detector)
    for mine, name in (
        ("body.layer4.1.conv2.weight", "backbone.body.layer4.1.conv2.weight"),
        ("body.bn1.running_var", "backbone.body.bn1.running_var"),
        ("fpn.layer_blocks.3.0.weight", "backbone.fpn.layer_blocks.3.0.weight"),
        ("rpn.head.cls_logits.weight", "rpn.head.cls_logits.weight"),
        ("roi_heads.box_head.fc6.weight", "roi_heads.box_head.fc6.weight"),
    ):
        assert torch.equal(ours[mine], theirs[name]), mine
    assert found.skipped.keys() == {
        f"roi_heads.box_predictor.{layer}.{what}"
        for layer in ("cls_score", "bbox_pred")
        for what in ("weight", "bias")
    }
    assert found.skipped["roi_heads.box_predictor.cls_score.weight"] == "91x64, here 2x64"
    assert len(found.names) == len(theirs) - 4


@pytest.mark.parametrize("init", ["imagenet", "coco"])
def test_published_weights_of_a_body_that_has_none_are_refused(init: Any) -> None:
    with pytest.raises(ValueError, match=r"resnet10.*--run\.weights FILE"):
        initialise(Detector(SMALL), config(init=init), "stage1")


class _Hostile:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    victim = tmp_path / "touched"
    torch.save({"state_dict": _Hostile(victim)}, tmp_path / "a.ckpt")
    with pytest.raises(
        ValueError, match=r"a\.ckpt cannot be read as weights .*stepscope inspect"
    ) as refused:
        weights_in(tmp_path / "a.ckpt")
    assert not victim.exists()
    assert "weights_only" not in str(refused.value), "torch's advice is to run the code"


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.ckpt cannot be read as weights \(.+\)"):
        weights_in(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(torch.zeros(2), "Tensor"), ([1], "list"), ({1: 2}, "dict"), ({"state_dict": [1]}, "list")],
)
def test_a_file_without_weights_by_name_is_refused(tmp_path: Path, content: Any, kind: str) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=f"holds a {kind}; expected tensors by name"):
        weights_in(tmp_path / "a.ckpt")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"b\.ckpt is not there"):
        initialise(Detector(SMALL), config(checkpoint=str(tmp_path / "b.ckpt")), "stage2")


def changed(folder: Path, name: str, value: Any) -> str:
    """Save a detector of which one entry is another."""
    state = {f"detector.{each}": old for each, old in Detector(SMALL).state_dict().items()}
    torch.save({"state_dict": state | {f"detector.{name}": value}}, folder / "a.ckpt")
    return str(folder / "a.ckpt")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("msp.alpha", torch.tensor(torch.nan), "msp.alpha holds numbers that are not finite"),
        ("msp.alpha", torch.tensor(1), "msp.alpha: torch.int64, here torch.float32"),
        (
            "alignment.dhn._extra_state",
            {"pointer": 99, "filled": 0},
            r"alignment.dhn: the counts of the queue are .*; expected a pointer below 16",
        ),
        ("alignment.dhn._extra_state", {"x": 1}, "expected a pointer below 16"),
    ],
)
def test_a_checkpoint_that_would_spoil_the_detector_is_refused(
    tmp_path: Path, name: str, value: Any, said: str
) -> None:
    path = changed(tmp_path, name, value)
    with pytest.raises(ValueError, match=rf"the checkpoint .*a\.ckpt: .*{said}"):
        initialise(Detector(SMALL), config(checkpoint=path), "stage2")


def test_a_checkpoint_and_an_init_for_stage_2_are_refused(tmp_path: Path) -> None:
    run = {"checkpoint": str(tmp_path / "a.ckpt"), "init": "scratch"}
    with pytest.raises(ValueError, match=r"both --run\.checkpoint .* expected one of the two"):
        expect_start(config(**run), "stage2")


@pytest.mark.parametrize("run", [{"init": "scratch"}, {"init": None}, {"checkpoint": "a.ckpt"}])
def test_weights_that_would_not_be_read_are_refused(run: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"--run\.weights w\.pt would not be read"):
        expect_start(config(weights="w.pt", **run), "stage1")


@pytest.mark.parametrize("init", ["imagenet", "coco"])
def test_published_weights_without_a_network_are_refused_with_the_way_out(
    init: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    model = dataclasses.replace(SMALL, body="resnet50")
    with pytest.raises(ValueError, match=r"https://.* cannot be fetched .*--run\.weights FILE"):
        initialise(nn.Module(), config(model, init=init), "stage1")
