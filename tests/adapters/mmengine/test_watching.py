"""A real Runner of MMEngine under watch."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from stepscope.core.verdict import Verdict
from stepscope.evidence.course.epochs import Epochs
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.plans import Plans
from tests.adapters.kept import kept

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
mmengine = pytest.importorskip("mmengine")


def network() -> Any:
    from mmengine.model import BaseModel

    class Network(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
            self.head = nn.Linear(8, 1)

        def forward(self, inputs: Tensor, mode: str = "loss") -> Any:
            found = self.head(self.backbone(inputs))
            return {"loss_head": found.square().mean()} if mode == "loss" else [found]

    torch.manual_seed(0)
    return Network()


def run(hooks: list[Any], folder: Path, *, epochs: int = 3, **options: Any) -> Any:
    from mmengine.evaluator import BaseMetric
    from mmengine.runner import Runner

    class Mean(BaseMetric):  # type: ignore[misc]
        def process(self, data_batch: Any, data_samples: Any) -> None:
            self.results.append(float(data_samples[0].mean()))

        def compute_metrics(self, results: list[float]) -> dict[str, float]:
            return {"mean": sum(results) / len(results), "least": min(results)}

    torch.manual_seed(2)
    loader = {
        "dataset": TensorDataset(torch.randn(16, 4) + 2),
        "batch_size": 4,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }
    settings: dict[str, Any] = {
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": 0.01},
            "accumulative_counts": 2,
        },
        **options,
    }
    runner = Runner(
        network(),
        work_dir=str(folder),
        train_dataloader=loader,
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=[Mean()],
        train_cfg={"by_epoch": True, "max_epochs": epochs, "val_interval": 1},
        custom_hooks=hooks,
        default_scope="mmengine",
        experiment_name=f"{folder.name}{epochs}{len(hooks)}{'resume' in settings}",
        randomness={"seed": 3},
        log_level="ERROR",
        **settings,
    )
    runner.train()
    return runner


def watching(folder: Path, **how: Any) -> Any:
    from stepscope.adapters.mmengine import WatchHook

    return WatchHook(folder=folder, **how)


def test_a_training_computes_what_it_computes_unwatched(tmp_path: Path) -> None:
    alone = run([], tmp_path / "a").model.state_dict()
    beside = run([watching(tmp_path)], tmp_path / "b").model.state_dict()
    for name, value in alone.items():
        assert torch.equal(value, beside[name]), name


def test_epochs_plan_losses_and_what_is_measured_are_in_the_recording(tmp_path: Path) -> None:
    watch = watching(tmp_path)
    run([watch], tmp_path)
    seen = kept(tmp_path).evidence
    epochs, plans, metrics, losses = (
        seen[kind] for kind in (Epochs, Plans, MetricCurves, LossCurves)
    )
    assert isinstance(epochs, Epochs)
    assert isinstance(plans, Plans)
    assert isinstance(metrics, MetricCurves)
    assert isinstance(losses, LossCurves)
    assert [(at, e.number, e.planned) for at, e in epochs.seen] == [(0, 0, 3), (2, 1, 3), (4, 2, 3)]
    assert [(each.steps, each.accumulation) for _, each in plans.seen] == [(6, 2)]
    assert metrics.series["mean"].steps == (2, 4, 6)
    assert "loss_head" in metrics.series
    assert len(losses.series["total"]) == 6
    assert watch.report.verdict is Verdict.CLEAN
    assert not watch.report.run.faults
    assert watch.report.run.steps == 6


def test_a_finding_stops_the_training_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    watch = watching(tmp_path, on_error="stop")
    wrapper = {
        "optimizer": {"type": "AdamW", "lr": 0.01},
        "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.0}}},
    }
    runner = run([watch], tmp_path, optim_wrapper=wrapper)
    assert watch.stopped
    assert runner.epoch == 1
    assert [each.rule.code for each in watch.report.at_fault] == ["FRZ001"]


def test_a_resumed_training_goes_on_with_its_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MMEngine 0.10 loads its own checkpoints as torch >= 2.6 no longer does by default.
    monkeypatch.setattr(torch, "load", functools.partial(torch.load, weights_only=False))
    run([], tmp_path, epochs=1)
    watch = watching(tmp_path)
    run([watch], tmp_path, load_from=str(tmp_path / "epoch_1.pth"), resume=True)
    seen = kept(tmp_path).evidence
    epochs, plans = seen[Epochs], seen[Plans]
    assert isinstance(epochs, Epochs)
    assert isinstance(plans, Plans)
    assert [(at, each.number) for at, each in epochs.seen] == [(0, 1), (2, 2)]
    assert plans.steps == 4
    assert not watch.report.run.faults


def test_the_hook_is_made_by_its_name_and_a_wrong_keyword_is_refused(tmp_path: Path) -> None:
    import stepscope.adapters.mmengine  # noqa: F401 - registers it

    runner = run([{"type": "WatchHook", "folder": str(tmp_path), "steps": 2}], tmp_path)
    (hook,) = (each for each in runner.hooks if type(each).__name__ == "WatchHook")
    assert hook.report.run.steps == 6
    with pytest.raises(ValueError, match="on_error='halt'"):
        watching(tmp_path, on_error="halt")
