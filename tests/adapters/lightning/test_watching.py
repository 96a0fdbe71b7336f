"""A real Lightning fit under watch: accumulation, validation in the middle, resumption."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from stepscope.core.verdict import Verdict
from stepscope.evidence.course.epochs import EpochEnds, Epochs
from stepscope.evidence.course.evaluations import Evaluations
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.plans import Plans
from tests.adapters.kept import Kept, kept

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
pl = pytest.importorskip("lightning.pytorch")
BATCHES, ACCUMULATED = 8, 2


class Module(pl.LightningModule):
    """Of two parts; `rate` is the learning rate of the first."""

    def __init__(self, rate: float = 0.01) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head = nn.Linear(8, 2)
        self.rate = rate
        self.losses: list[float] = []

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": self.backbone.parameters(), "lr": self.rate},
            {"params": self.head.parameters()},
        ]
        return torch.optim.AdamW(groups, lr=0.01)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        torch.manual_seed(self.global_step)
        loss = nn.functional.cross_entropy(self.head(self.backbone(batch[0])), batch[1])
        self.log("train_loss", loss)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.log(
            "val_acc", (self.head(self.backbone(batch[0])).argmax(1) == batch[1]).float().mean()
        )

    def on_train_epoch_end(self) -> None:
        self.log("at_the_end", float(self.current_epoch))


class Adversaries(pl.LightningModule):
    """Two optimizers, of which one takes a step only in every second batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(4, 4), nn.Linear(4, 1)

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.SGD(each.parameters(), lr=0.01) for each in (self.generator, self.critic)
        ]

    def training_step(self, batch: list[Tensor], index: int) -> None:
        for optimizer, sign in zip(self.optimizers(), (1, -1), strict=True):
            if sign == 1 and index % 2:
                continue
            optimizer.zero_grad()
            self.manual_backward(sign * self.critic(self.generator(batch[0])).mean())
            optimizer.step()


def trainer_of(folder: Path, *callbacks: Any, epochs: int = 2, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "max_epochs": epochs,
        "accumulate_grad_batches": ACCUMULATED,
        "val_check_interval": 0.5,
        "logger": False,
        **options,
    }
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=[*callbacks, pl.callbacks.ModelCheckpoint(folder, save_last=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        log_every_n_steps=1,
        **settings,
    )


def data() -> Any:
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.randn(32, 4), torch.randint(2, (32,))), batch_size=4)


def watching(folder: Path, **how: Any) -> Any:
    from stepscope.adapters.lightning import WatchCallback

    return WatchCallback(folder=folder, **how)


def points(seen: Kept, name: str) -> Mapping[int, float]:
    curves = seen.evidence[MetricCurves]
    assert isinstance(curves, MetricCurves)
    return dict(curves.series[name])


def test_a_fit_computes_what_it_computes_unwatched(tmp_path: Path) -> None:
    alone, beside = Module(), Module()
    trainer_of(tmp_path / "a").fit(alone, data(), data())
    random_state = torch.get_rng_state()
    trainer_of(tmp_path / "b", watching(tmp_path)).fit(beside, data(), data())
    assert torch.equal(random_state, torch.get_rng_state())
    assert alone.losses == beside.losses
    for name, value in alone.state_dict().items():
        assert torch.equal(value, beside.state_dict()[name]), name


def test_epochs_plan_losses_and_what_is_logged_are_in_the_recording(tmp_path: Path) -> None:
    watch = watching(tmp_path)
    module = Module()
    trainer = trainer_of(tmp_path, watch, epochs=3)
    trainer.fit(module, data(), data())
    seen = kept(tmp_path)
    steps = BATCHES // ACCUMULATED
    epochs, ends, plans = (seen.evidence[kind] for kind in (Epochs, EpochEnds, Plans))
    assert isinstance(epochs, Epochs)
    assert isinstance(ends, EpochEnds)
    assert isinstance(plans, Plans)
    assert [(at, e.number, e.planned) for at, e in epochs.seen] == [
        (steps * epoch, epoch, 3) for epoch in range(3)
    ]
    assert [(at, each.number) for at, each in ends.seen] == [(4, 0), (8, 1), (12, 2)]
    assert [(each.steps, each.accumulation) for _, each in plans.seen] == [(3 * steps, ACCUMULATED)]
    assert points(seen, "at_the_end") == {4: 0.0, 8: 1.0, 12: 2.0}
    evaluations = seen.evidence[Evaluations]
    assert isinstance(evaluations, Evaluations)
    judged = [each.evaluated for _, each in evaluations.seen]
    assert judged == [0, 2, 4, 6, 8, 10, 12]  # 0: the sanity check
    accuracy = points(seen, "val_acc")
    assert list(accuracy) == [2, 4, 6, 8, 10, 12]
    assert accuracy[12] == pytest.approx(float(trainer.callback_metrics["val_acc"]))
    losses = seen.evidence[LossCurves]
    assert isinstance(losses, LossCurves)
    # Lightning has divided it by the accumulation.
    means = [sum(module.losses[2 * at : 2 * at + 2]) / 2 / ACCUMULATED for at in range(12)]
    assert losses.series["total"].values == pytest.approx(tuple(means))
    assert points(seen, "train_loss")[1] == pytest.approx(module.losses[2])  # the last of the step
    assert watch.report.verdict is Verdict.CLEAN
    assert not watch.report.run.faults
    assert (watch.report.run.steps, seen.how) == (12, "finished")


def test_a_finding_stops_the_fit_by_the_trainers_own_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = watching(tmp_path, on_error="stop")
    module = Module(rate=0.0)
    trainer = trainer_of(tmp_path, watch, epochs=5)
    trainer.fit(module, data(), data())
    assert watch.stopped
    assert trainer.state.status == "finished"
    assert trainer.global_step < 8
    assert (tmp_path / "last.ckpt").exists()
    assert "error FRZ001 frozen-by-zero-lr\n  backbone" in capfd.readouterr().err
    assert [each.rule.code for each in watch.report.at_fault] == ["FRZ001"]
    trainer_of(tmp_path, watch).fit(Module(), data(), data())
    assert not watch.stopped
    assert watch.report.run.steps == 8


def test_a_resumed_fit_is_taken_for_no_beginning_and_goes_on_with_its_epochs(
    tmp_path: Path,
) -> None:
    trainer_of(tmp_path, epochs=1).fit(Module(), data(), data())
    watch = watching(tmp_path)
    trainer_of(tmp_path, watch, epochs=3).fit(
        Module(), data(), data(), ckpt_path=tmp_path / "last.ckpt"
    )
    seen = kept(tmp_path)
    epochs, plans = seen.evidence[Epochs], seen.evidence[Plans]
    assert isinstance(epochs, Epochs)
    assert isinstance(plans, Plans)
    assert [(at, each.number) for at, each in epochs.seen] == [(0, 1), (4, 2)]
    assert plans.steps == 8
    assert watch.report.verdict is Verdict.CLEAN
    skipped = {each.rule.code for each in watch.report.outcomes if each.status.value == "skipped"}
    assert "OPT010" in skipped or "LOS004" in skipped  # rules of a beginning
    assert not watch.report.run.faults


def test_two_optimizers_are_watched_and_no_plan_is_made_up(tmp_path: Path) -> None:
    watch = watching(tmp_path)
    trainer_of(tmp_path, watch, accumulate_grad_batches=1).fit(Adversaries(), data())
    seen = kept(tmp_path)
    assert Plans not in seen.evidence
    assert watch.report.run.steps == 2 * BATCHES
    assert not watch.report.run.faults


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_the_module_raises_ends_the_watching_and_goes_its_way(
    tmp_path: Path, error: type[BaseException]
) -> None:
    class Breaking(Module):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch:
                raise error("a bad batch")

    watch = watching(tmp_path)
    with pytest.raises((error, SystemExit)):
        trainer_of(tmp_path, watch).fit(Breaking(), data(), data())
    assert watch.report.run.error.startswith(error.__name__)
    assert watch.report.run.steps == 4
    assert kept(tmp_path).how == "raised"
    assert nn.Module._call_impl.__module__ == "torch.nn.modules.module"


def test_a_callback_of_ours_that_raises_ends_the_watching_and_not_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepscope.adapters.attached import Attached

    def broken(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(Attached, "epoch", broken)
    watch = watching(tmp_path)
    trainer = trainer_of(tmp_path, watch)
    trainer.fit(Module(), data(), data())
    assert trainer.global_step == 8
    (fault,) = watch.report.run.faults
    assert "KeyError: 'ours'" in fault


def test_a_trainer_that_cannot_say_how_long_it_goes_is_no_fault(tmp_path: Path) -> None:
    watch = watching(tmp_path)
    scheduler = pl.callbacks.GradientAccumulationScheduler({0: 1, 1: 2})
    trainer_of(tmp_path, watch, scheduler, accumulate_grad_batches=1).fit(Module(), data())
    assert Plans not in kept(tmp_path).evidence
    assert not watch.report.run.faults


def test_findings_go_to_the_loggers_of_the_trainer(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Remembering(Logger):
        name, version = "remembering", 0

        def __init__(self) -> None:
            super().__init__()
            self.logged: list[tuple[dict[str, float], int | None]] = []

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            assert all(isinstance(value, float | int) for value in metrics.values())
            self.logged.append((metrics, step))

        def log_hyperparams(self, *_: Any, **__: Any) -> None:
            """Take none."""

    table, board, other = CSVLogger(tmp_path), TensorBoardLogger(tmp_path), Remembering()
    watch = watching(tmp_path)
    trainer_of(tmp_path, watch, logger=[table, board, other]).fit(Module(rate=0.0), data(), data())
    codes = [each.rule.code for each in watch.report.findings]
    assert "FRZ001" in codes
    with Path(table.log_dir, "stepscope_findings.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["code"] for row in rows] == list(kept(tmp_path).codes)
    assert rows[0]["subject"].startswith("backbone")
    marked = [(name, step) for each, step in other.logged for name in each if "stepscope" in name]
    assert [name for name, _ in marked] == [f"stepscope/{row['code']}" for row in rows]
    steps = [step for _, step in other.logged if step is not None]
    assert steps == sorted(steps), "a mark keeps the order of the steps"
    events = EventAccumulator(board.log_dir)
    events.Reload()
    assert "stepscope/FRZ001/text_summary" in events.Tags()["tensors"]
    texts = events.Tensors("stepscope/FRZ001/text_summary")
    assert b"**error** backbone" in texts[0].tensor_proto.string_val[0]
    assert len(texts) == codes.count("FRZ001")


def test_a_loop_of_fabric_is_a_loop_and_findings_go_to_its_loggers(tmp_path: Path) -> None:
    from lightning.fabric import Fabric
    from lightning.fabric.loggers import CSVLogger

    from stepscope.adapters.lightning import watch_fabric

    table = CSVLogger(tmp_path)
    fabric = Fabric(accelerator="cpu", devices=1, loggers=[table])
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    groups = [{"params": inner[0].parameters(), "lr": 0.0}, {"params": inner[2].parameters()}]
    model, optimizer = fabric.setup(inner, torch.optim.SGD(groups, lr=0.1))
    with watch_fabric(fabric, model, optimizer, folder=tmp_path) as run:
        for index in range(12):
            with fabric.no_backward_sync(model, enabled=index % 2 == 0):
                fabric.backward(model(torch.randn(4, 4)).square().mean())
            if index % 2:
                optimizer.step()
                optimizer.zero_grad()
                fabric.log("index", index, step=run.step)
    assert run.step == 6
    assert run.report is not None
    assert [each.finding.subject.split()[0] for each in run.report.at_fault] == ["0"]
    assert not run.report.run.faults
    with Path(table.log_dir, "stepscope_findings.csv").open(encoding="utf-8") as file:
        assert [row["code"] for row in csv.DictReader(file)] == ["FRZ001"]


PROGRAM = """
import os, sys, torch
from pathlib import Path
from tests.adapters.lightning.test_watching import Module, data, trainer_of, watching
torch.set_num_threads(1)
watch = watching(Path("kept"), on_error="stop")
trainer = trainer_of(Path("out"), watch, epochs=4, devices=2, strategy="ddp")
trainer.fit(Module(float(sys.argv[1])), data(), data())
said = (trainer.global_rank, trainer.global_step, watch.stopped, watch.report is not None)
os.write(1, ("rank " + " ".join(map(str, said)) + chr(10)).encode())  # whole, on two ranks too
"""


@pytest.mark.parametrize(("rate", "steps"), [(0.0, None), (0.01, 8)])
def test_two_ranks_stop_at_the_same_step_and_the_first_reports(
    tmp_path: Path, rate: float, steps: int | None
) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "train.py", str(rate)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    ranks = [line.split()[1:] for line in sorted(done.stdout.splitlines()) if "rank " in line]
    assert [each[0] for each in ranks] == ["0", "1"]
    assert [each[3] for each in ranks] == ["True", "False"]
    assert ranks[0][1:3] == ranks[1][1:3]
    assert ranks[0][2] == str(steps is None)
    assert steps is None or int(ranks[0][1]) == steps
    assert done.stderr.count("error FRZ001") == (steps is None)
    assert ("The run is at fault" in done.stderr) == (steps is None)
