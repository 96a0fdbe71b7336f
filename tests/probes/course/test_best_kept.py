"""What frameworks choose the best checkpoint by is heard in the real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from stepscope.evidence.course.best_kept import BestKept
from stepscope.evidence.course.line import Line
from stepscope.probes.course.best_kept import BestKeptSampler
from stepscope.probes.course.pulse import Pulse

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]


def heard(program: Callable[[], object]) -> list[BestKept]:
    lines: list[Line] = []
    pulse = Pulse([BestKeptSampler], line=lines.append, every=1)
    with pulse:
        program()
    assert not pulse.run.faults
    return [each for line in lines for each in line.happened if isinstance(each, BestKept)]


def fit(folder: Path, *, logs: dict[str, dict[str, bool]], validates: bool, **options: Any) -> Any:
    """Fit with one ModelCheckpoint of these options; the training step logs what it is told to."""
    pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint

    from tests.adapters.lightning.test_watching import Module, data, trainer_of

    class Logging(Module):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            loss = super().training_step(batch, index)
            for name, how in logs.items():
                self.log(name, loss.detach(), **how)
            return loss

    beside = options.pop("beside", ())
    callbacks = [ModelCheckpoint(folder, **options), *beside]
    held_out = data() if validates else None
    trainer_of(folder, *callbacks, val_check_interval=1.0).fit(Logging(), data(), held_out)


STEP, EPOCH = {"on_step": True, "on_epoch": False}, {"on_step": False, "on_epoch": True}


@pytest.mark.parametrize(
    ("how", "monitor", "of_one_batch"),
    [
        (STEP, "cost", True),
        (EPOCH, "cost", False),
        ({"on_step": True, "on_epoch": True}, "cost_step", True),
        ({"on_step": True, "on_epoch": True}, "cost_epoch", False),
    ],
)
def test_lightning_says_where_a_metric_comes_from(
    tmp_path: Path, how: dict[str, bool], monitor: str, *, of_one_batch: bool
) -> None:
    kept = heard(lambda: fit(tmp_path, logs={"cost": how}, validates=True, monitor=monitor))
    assert kept
    assert all(each.is_from_training for each in kept)
    assert {each.is_of_one_batch for each in kept} == {of_one_batch}
    assert {each.validates for each in kept} == {True}
    assert {each.decides for each in kept} == {True}
    assert kept[0].by == f"ModelCheckpoint(monitor={monitor!r}, mode='min')"
    assert (kept[0].larger, kept[0].right) == (False, "mode='max'")


def test_a_metric_of_the_validation_is_not_of_the_training(tmp_path: Path) -> None:
    both = {"val_acc": EPOCH}  # logged by the training step too
    kept = heard(lambda: fit(tmp_path, logs=both, validates=True, monitor="val_acc", mode="max"))
    assert kept
    assert not any(each.is_from_training for each in kept)
    assert all(each.larger for each in kept)


def test_a_metric_of_the_end_of_an_epoch_may_come_from_anywhere(tmp_path: Path) -> None:
    kept = heard(lambda: fit(tmp_path, logs={}, validates=False, monitor="at_the_end"))
    assert kept
    assert not any(each.is_from_training for each in kept)
    assert not any(each.validates for each in kept)


def test_one_that_keeps_all_or_has_another_beside_it_does_not_decide(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint

    logs = {"cost": EPOCH}
    other = ModelCheckpoint(tmp_path, monitor="val_acc", mode="max", filename="acc{step}")
    several = {"monitor": "cost", "beside": [other]}
    every = {"monitor": "cost", "save_top_k": -1}
    for options in (several, every):
        kept = heard(lambda: fit(tmp_path, logs=logs, validates=True, **options))  # noqa: B023
        assert {each.decides for each in kept if each.metric == "cost"} == {False}


def test_the_trainer_of_transformers_is_heard(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.adapters.transformers.test_watching import network, train

    options = {"metric_for_best_model": "loss", "greater_is_better": True}
    kept = heard(lambda: train(network(), tmp_path, **options))
    assert kept
    assert kept[0].by == "Trainer(metric_for_best_model='loss', greater_is_better=True)"
    assert (kept[0].larger, kept[0].right) == (True, "greater_is_better=False")
    assert heard(lambda: train(network(), tmp_path / "no_best")) == []


@pytest.mark.parametrize("best", ["mean", "auto", ["mean", "least"]])
def test_the_hook_of_mmengine_is_heard(tmp_path: Path, best: str | list[str]) -> None:
    pytest.importorskip("mmengine")
    from tests.adapters.mmengine.test_watching import run

    hooks = {"checkpoint": {"type": "CheckpointHook", "save_best": best, "rule": "less"}}
    kept = heard(lambda: run([], tmp_path, default_hooks=hooks))
    assert {each.metric for each in kept} == ({"mean"} if isinstance(best, str) else set(best))
    assert kept[0].by == "CheckpointHook(save_best='mean', rule='less')"
    assert (kept[0].larger, kept[0].right) == (False, "rule='greater'")


def test_a_hook_of_mmengine_without_a_best_is_not_heard(tmp_path: Path) -> None:
    pytest.importorskip("mmengine")
    from tests.adapters.mmengine.test_watching import run

    assert heard(lambda: run([], tmp_path)) == []


def test_what_was_patched_is_put_back(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch.callbacks.model_checkpoint")
    before = lightning.ModelCheckpoint._update_best_and_save
    assert heard(lambda: None) == []
    assert lightning.ModelCheckpoint._update_best_and_save is before


def test_a_release_that_chooses_in_another_way_is_not_heard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lightning = pytest.importorskip("lightning.pytorch.callbacks.model_checkpoint")

    class ModelCheckpoint:
        """Without the method that is patched."""

    monkeypatch.setattr(lightning, "ModelCheckpoint", ModelCheckpoint)
    assert heard(lambda: None) == []
