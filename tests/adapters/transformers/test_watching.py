"""A real Trainer of Transformers, and a loop of Accelerate, under watch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import stepscope
from stepscope.core.verdict import Verdict
from stepscope.evidence.course.epochs import Epochs
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.plans import Plans
from tests.adapters.kept import kept

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
transformers = pytest.importorskip("transformers")


def network() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    return transformers.BertForSequenceClassification(config)


def data() -> list[dict[str, Any]]:
    return [{"input_ids": [(i * k) % 20 for k in range(6)], "labels": i % 2} for i in range(16)]


def train(model: Any, folder: Path, *callbacks: Any, **options: Any) -> Any:
    resume = options.pop("resume", None)
    optimizers = options.pop("optimizers", (None, None))
    settings: dict[str, Any] = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "logging_steps": 1,
        "save_steps": 4,
        "learning_rate": 0.01,
        "report_to": "none",
        **options,
    }
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), disable_tqdm=True, use_cpu=True, **settings
    )
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=data(),
        eval_dataset=data()[:4],
        callbacks=list(callbacks),
        optimizers=optimizers,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def watching(folder: Path, **how: Any) -> Any:
    from stepscope.adapters.transformers import WatchCallback

    return WatchCallback(folder=folder, **how)


def frozen_by_rate(model: Any) -> Any:
    groups = [
        {"params": model.bert.parameters(), "lr": 0.0},
        {"params": model.classifier.parameters()},
    ]
    return (torch.optim.AdamW(groups, lr=0.01), None)


def test_a_training_computes_what_it_computes_unwatched(tmp_path: Path) -> None:
    alone, beside = network(), network()
    before = train(alone, tmp_path / "a")
    after = train(beside, tmp_path / "b", watching(tmp_path))
    timed = ("train_runtime", "per_second")
    logs = [
        [
            {
                name: v
                for name, v in entry.items()
                if not any(t in name for t in ("runtime", *timed))
            }
            for entry in trainer.state.log_history
        ]
        for trainer in (before, after)
    ]
    assert logs[0] == logs[1]
    for name, value in alone.state_dict().items():
        assert torch.equal(value, beside.state_dict()[name]), name


def test_epochs_plan_losses_and_what_is_logged_are_in_the_recording(tmp_path: Path) -> None:
    watch = watching(tmp_path)
    trainer = train(network(), tmp_path, watch)
    seen = kept(tmp_path).evidence
    epochs, plans, metrics, losses = (
        seen[kind] for kind in (Epochs, Plans, MetricCurves, LossCurves)
    )
    assert isinstance(epochs, Epochs)
    assert isinstance(plans, Plans)
    assert isinstance(metrics, MetricCurves)
    assert isinstance(losses, LossCurves)
    assert [(at, e.number, e.planned) for at, e in epochs.seen] == [(0, 0, 3), (4, 1, 3), (8, 2, 3)]
    assert [(each.steps, each.accumulation) for _, each in plans.seen] == [(12, 2)]
    logged = trainer.state.log_history
    expected = {e["step"]: e["eval_loss"] for e in logged if "eval_loss" in e}
    assert dict(metrics.series["eval_loss"]) == pytest.approx(expected)
    assert dict(metrics.series["loss"]) == pytest.approx(
        {e["step"]: e["loss"] for e in logged if "loss" in e}
    )
    assert len(losses.series["total"]) == 12
    assert watch.report.verdict is Verdict.CLEAN
    assert not watch.report.run.faults
    assert watch.report.run.steps == 12


def test_a_finding_stops_the_training_by_the_trainers_own_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = watching(tmp_path, on_error="stop")
    model = network()
    trainer = train(model, tmp_path, watch, optimizers=frozen_by_rate(model))
    assert watch.stopped
    assert 3 <= trainer.state.global_step <= 5
    assert "error FRZ001 frozen-by-zero-lr\n  bert" in capfd.readouterr().err
    assert (tmp_path / f"checkpoint-{trainer.state.global_step}").exists()


def test_a_resumed_training_goes_on_with_its_epochs(tmp_path: Path) -> None:
    train(network(), tmp_path, max_steps=4)
    watch = watching(tmp_path)
    train(network(), tmp_path, watch, resume=tmp_path / "checkpoint-4")
    seen = kept(tmp_path).evidence
    epochs, plans = seen[Epochs], seen[Plans]
    assert isinstance(epochs, Epochs)
    assert isinstance(plans, Plans)
    assert [(at, each.number) for at, each in epochs.seen] == [(0, 1), (4, 2)]
    assert plans.steps == 8
    assert watch.report.run.steps == 8
    assert not watch.report.run.faults


def test_findings_go_to_tensorboard_where_the_trainer_logs_there(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    watch = watching(tmp_path)
    model = network()
    folder = tmp_path / "logs"
    writer = SummaryWriter(folder)  # type: ignore[no-untyped-call]
    board = transformers.integrations.TensorBoardCallback(writer)
    train(model, tmp_path, watch, board, optimizers=frozen_by_rate(model))
    writer.close()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert "train/loss" in events.Tags()["scalars"]
    assert "stepscope/FRZ001/text_summary" in events.Tags()["tensors"]


def test_a_training_that_raised_is_judged_when_the_next_one_begins(tmp_path: Path) -> None:
    class Breaking(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 5:
                raise ValueError("a bad step")

    first, second = watching(tmp_path / "first"), watching(tmp_path / "second")
    with pytest.raises(ValueError, match="a bad step"):
        train(network(), tmp_path, first, Breaking())
    assert first.report is None
    train(network(), tmp_path, second)
    assert first.report.run.steps == 5
    assert second.report.run.steps == 12
    assert nn.Module._call_impl.__module__ == "torch.nn.modules.module"


PROGRAM = """
from tests.adapters.transformers.test_watching import network, train, watching
from pathlib import Path
class Breaking(__import__("transformers").TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 5:
            raise ValueError("a bad step")
train(network(), Path("out"), watching(Path.cwd()), Breaking())
"""


def test_a_training_that_raised_is_judged_when_the_program_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 1
    assert "the program raised after 5" in done.stderr
    assert kept(tmp_path).how == "raised"


def test_a_loop_of_accelerate_is_a_loop(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    batches = torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=4)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    with stepscope.watch(model, optimizer, folder=tmp_path) as run:
        for _epoch in range(2):
            for batch in batches:
                with accelerator.accumulate(model):
                    accelerator.backward(model(batch).square().mean())
                    optimizer.step()
                    optimizer.zero_grad()
    assert run.step == 8
    assert run.report is not None
    assert [(e.rule.code, e.finding.subject.split()[0]) for e in run.report.at_fault] == [
        ("FRZ001", "0")
    ]
    assert not run.report.run.faults
