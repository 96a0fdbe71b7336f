"""Two stages from end to end: what they leave behind, and what they refuse."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from stepscope_systems.rgbt_detection.checkpoints import read_config
from tests.stepscope_systems.rgbt_detection.tiny_runs import (
    different,
    logged,
    saved,
    share_data,
    tiny,
)

pytestmark = pytest.mark.corpus


class StartedError(Exception):
    pass


class Stop(Callback):
    """Ends the program before the first step."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise StartedError


def body(checkpoint: Path) -> dict[str, torch.Tensor]:
    state = saved(checkpoint)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("detector.body.")}


def test_the_best_checkpoint_is_the_epoch_of_the_best_validation_ap(stage1: Path) -> None:
    precision = [row["validation/ap"] for row in logged(stage1) if "validation/ap" in row]
    best = precision.index(max(precision))

    assert saved(stage1 / "best.ckpt")["epoch"] == best
    assert 0 < best < 4, "neither the first nor the last, which would be chosen without AP"
    assert saved(stage1 / "last.ckpt")["epoch"] == 4


def test_the_log_has_the_validation_of_each_epoch_once(stage1: Path) -> None:
    rows = [row for row in logged(stage1) if "validation/ap" in row]

    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert all(0 <= row["validation/ap"] <= row["validation/ap50"] <= 1 for row in rows)


def test_a_frozen_body_keeps_its_parameters_and_its_statistics_to_the_bit(
    stage1: Path, stage2: Path
) -> None:
    before = body(stage1 / "best.ckpt")

    assert any(name.endswith("running_var") for name in before)
    for checkpoint in (stage2 / "best.ckpt", stage2 / "last.ckpt"):
        assert different(body(checkpoint), before) == []
    # The statistics and the weights of a body that is not frozen do move.
    assert different(body(stage1 / "last.ckpt"), before) == [f"/{name}" for name in sorted(before)]


def test_the_record_of_the_freeze_says_that_the_body_stood_still(stage2: Path) -> None:
    record = json.loads((stage2 / "freeze.json").read_text())["FreezeRecord"]

    assert record["patterns"] == ["detector.body"]
    assert record["before"]["in_optimizer"] == []
    assert record["checks"] == [{"step": 6}]  # a look that found nothing
    assert {each["is_buffer"] for each in record["tensors"]} == {True, False}
    assert all(each["before"] == each["after"] for each in record["tensors"])


def test_stage_2_trains_all_but_the_body(stage1: Path, stage2: Path) -> None:
    before = saved(stage1 / "best.ckpt")["state_dict"]
    after = saved(stage2 / "last.ckpt")["current_model_state"]

    moved = {name.split("/")[1].split(".")[1] for name in different(before, after)}

    assert moved == {"fpn", "msp", "rpn", "roi_heads", "alignment"}


def test_the_queue_of_stage_1_serves_in_the_first_step_of_stage_2(
    stage1: Path, stage2: Path
) -> None:
    first, *_ = logged(stage2)

    assert first["dhn/fill"] == 1.0
    assert first["raw/loss_dhn"] > 0
    assert logged(stage1)[0]["dhn/fill"] == 0.0
    assert "raw/loss_dhn" not in logged(stage1)[0]


def test_an_average_is_saved_with_the_counts_of_the_queue(stage2: Path) -> None:
    content = saved(stage2 / "last.ckpt")
    name = "detector.alignment.dhn._extra_state"

    assert content["state_dict"][name] == content["current_model_state"][name]
    assert content["state_dict"][name]["filled"] == 32
    weight = "detector.fpn.layer_blocks.0.0.weight"
    assert not torch.equal(content["state_dict"][weight], content["current_model_state"][weight])


def test_stage_2_without_a_checkpoint_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(tmp_path / "runs", "stage2")
    config = replace(config, data=replace(config.data, source="kaist:/nowhere"))

    with pytest.raises(ValueError, match=r"no checkpoint; expected --run.checkpoint FILE"):
        train(config, "stage2")
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(tmp_path / "runs", "stage2", checkpoint=str(tmp_path / "best.ckpt"))

    with pytest.raises(FileNotFoundError, match=r"best.ckpt is not there"):
        train(config, "stage2")
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_of_another_shape_is_refused_by_name_and_shape(
    stage1: Path, tmp_path: Path
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(
        share_data(stage1.parent, tmp_path), "stage2", checkpoint=str(stage1 / "best.ckpt")
    )
    config = replace(config, model=replace(config.model, channels=16))

    with pytest.raises(ValueError, match=r"fpn.inner_blocks.0.0.weight: 32x64x1x1, here 16x64x1x1"):
        train(config, "stage2")


@pytest.mark.parametrize(("batch", "is_enough"), [(12, True), (13, False)])
def test_fewer_pairs_than_a_batch_are_refused(
    batch: int, stage1: Path, tmp_path: Path, *, is_enough: bool
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    config = replace(
        config,
        data=replace(config.data, batch=batch),
        optimizer=replace(config.optimizer, warmup_steps=0),
    )
    if is_enough:
        assert saved(train(config, "stage1") / "last.ckpt")["global_step"] == 1
        return
    with pytest.raises(ValueError, match="12 training pairs make no batch of 13 for each of 1"):
        train(config, "stage1")


@pytest.mark.parametrize(("steps", "is_short"), [(2, True), (3, False)])
def test_a_warm_up_as_long_as_the_run_is_refused(
    steps: int, stage1: Path, tmp_path: Path, *, is_short: bool
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    config = replace(config, optimizer=replace(config.optimizer, warmup_steps=steps))
    if is_short:
        assert (train(config, "stage1") / "best.ckpt").is_file()
        return
    with pytest.raises(ValueError, match="warmup_steps is 3, and the run has 3 optimizer steps"):
        train(config, "stage1")


def test_patience_ends_a_run_that_does_not_improve(
    stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path), epochs=5, patience=1)
    config = replace(config, optimizer=replace(config.optimizer, lr=1e-12))
    folder = train(config, "stage1")

    assert saved(folder / "last.ckpt")["epoch"] == 1  # the first sets the mark, the second waits
    assert "stopped after 2 of 5 epochs: no better AP in 1 validations" in capsys.readouterr().err


def test_mixed_precision_stays_finite(stage1: Path, tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(
        share_data(stage1.parent, tmp_path),
        checkpoint=str(stage1 / "best.ckpt"),
        precision="bf16-mixed",
    )
    folder = train(config, "stage1")

    state = saved(folder / "last.ckpt")["state_dict"]
    assert all(bool(torch.isfinite(each).all()) for each in state.values() if torch.is_tensor(each))
    first, *_ = logged(folder)
    assert 0 < first["loss/total"] < 100
    # The matrices were halved: rounding shows beside the same step in single precision.
    exact = logged(train(replace(config, run=replace(config.run, precision="32-true")), "stage1"))
    assert first["loss/total"] != exact[0]["loss/total"]
    assert first["loss/total"] == pytest.approx(exact[0]["loss/total"], rel=0.1)


def test_a_former_run_is_set_aside_whole_and_that_is_said(
    stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    folder = tmp_path / "stage1"
    for number in (1, 2):
        (folder / "csv").mkdir(parents=True, exist_ok=True)
        (folder / "csv" / "metrics.csv").write_text(f"of run {number}")
        with pytest.raises(StartedError):
            train(config, "stage1", watchers=[Stop()])
        aside = tmp_path / f"stage1-former-{number}"
        assert f"{folder} held a former run, which is now {aside}" in capsys.readouterr().err
        assert (aside / "csv" / "metrics.csv").read_text() == f"of run {number}"
        assert read_config(folder / "config.yaml") == (config, "stage1")


@pytest.mark.parametrize(
    ("section", "options"), [("data", {"batch": 13}), ("optimizer", {"warmup_steps": 3})]
)
def test_a_run_that_is_refused_leaves_the_former_one_alone(
    section: str, options: dict[str, int], stage1: Path, tmp_path: Path
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    former = tmp_path / "stage1"
    former.mkdir()
    (former / "best.ckpt").write_text("of hours")

    with pytest.raises(ValueError, match="expected"):
        train(replace(config, **{section: replace(getattr(config, section), **options)}), "stage1")

    assert [each.name for each in tmp_path.iterdir() if each.name != "data"] == ["stage1"]
    assert [each.name for each in former.iterdir()] == ["best.ckpt"]


def test_a_source_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(tmp_path / "runs")
    config = replace(config, data=replace(config.data, source="llvip:/nowhere"))

    with pytest.raises(ValueError, match="no such folder"):
        train(config, "stage1")
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(stage1: Path, tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    config = replace(config, run=replace(config.run, accelerator="gpu"))

    with pytest.raises(ValueError, match=r"accelerator gpu .* cannot be had here .*--run.accel"):
        train(config, "stage1")
    assert not (tmp_path / "stage1").exists()


def test_a_checkpoint_is_not_moved_from_under_the_other_processes(tmp_path: Path) -> None:
    from stepscope_systems.rgbt_detection.train import train

    (tmp_path / "stage1").mkdir()
    checkpoint = tmp_path / "stage1" / "best.ckpt"
    checkpoint.touch()

    with pytest.raises(ValueError, match=r"best.ckpt lies in .*stage1, which this run sets aside"):
        train(tiny(tmp_path, devices=2, checkpoint=str(checkpoint)), "stage1")
    assert checkpoint.exists()


def test_the_precision_that_is_said_is_the_one_that_is_used(
    stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path), precision="16-mixed")

    with (
        pytest.warns(UserWarning, match="fp16 is not supported on CPU"),
        pytest.raises(StartedError),
    ):
        train(config, "stage1", watchers=[Stop()])
    assert "on 1 x cpu, bf16-mixed" in capsys.readouterr().err


def test_the_bar_of_an_epoch_is_no_result(
    stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepscope_systems.rgbt_detection.train import train

    config = tiny(share_data(stage1.parent, tmp_path))
    train(replace(config, run=replace(config.run, progress=True)), "stage1")

    said = capsys.readouterr()
    assert said.out == ""
    assert "Epoch" in said.err
    assert "v_num" not in said.err
