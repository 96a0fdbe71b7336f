"""A training step: its total, its rate, and its gradient."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from stepscope_systems.rgbt_detection.config import Config
from stepscope_systems.rgbt_detection.loss import weights_of
from stepscope_systems.rgbt_detection.train import train
from tests.stepscope_systems.rgbt_detection.tiny_runs import logged, share_data, tiny

pytestmark = pytest.mark.corpus


class Steps(Callback):
    """Notes rates, and norms of the gradient before clipping and when the step is taken."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.before: list[float] = []
        self.taken: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        optimizer.register_step_pre_hook(lambda *_: self.taken.append(norm(pl_module)))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.before.append(norm(pl_module))


class StartedError(Exception):
    pass


class Start(Callback):
    """Ends a run before its first step, and keeps the rate that it would have had."""

    rate: float

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["initial_lr"]
        raise StartedError


def norm(module: LightningModule) -> float:
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return float(get_total_norm(gradients))


@pytest.fixture(scope="module")
def run(stage1: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Steps, Path]:
    """Train two epochs of single pairs, so that some steps have too few people for MACL."""
    config = tiny(share_data(stage1.parent, tmp_path_factory.mktemp("module")), epochs=2)
    config = replace(
        config,
        data=replace(config.data, batch=1),
        optimizer=replace(config.optimizer, clip=0.5, warmup_steps=5, ema=0.0),
    )
    steps = Steps()
    return config, steps, train(config, "stage1", watchers=[steps])


def test_the_total_is_the_sum_of_the_weighted_terms_at_every_logged_step(
    run: tuple[Config, Steps, Path],
) -> None:
    config, _, folder = run
    weights = weights_of(config.loss)
    rows = [row for row in logged(folder) if "loss/total" in row]

    assert [row["step"] for row in rows] == [0, 5, 10, 12, 17, 22]
    for row in rows:
        raw = {name.removeprefix("raw/"): row[name] for name in row if name.startswith("raw/")}
        assert row["loss/total"] == pytest.approx(
            sum(row[f"weighted/{name}"] for name in raw), rel=1e-6
        )
        for name, term in raw.items():
            assert row[f"weighted/{name}"] == pytest.approx(weights[name] * term, rel=1e-6)
    # Terms come and go: the value of an earlier step would break the sum.
    assert len({frozenset(row) for row in rows}) > 1


def test_a_term_that_is_inactive_is_counted_with_its_steps(
    run: tuple[Config, Steps, Path],
) -> None:
    _, _, folder = run
    counted = [row for row in logged(folder) if "inactive_steps/loss_macl" in row]

    assert [row["epoch"] for row in counted] == [0, 1]
    assert all(0 < row["inactive_steps/loss_macl"] < 12 for row in counted)


def test_the_gradient_is_clipped_before_the_step_is_taken(
    run: tuple[Config, Steps, Path],
) -> None:
    _, steps, _ = run

    assert len(steps.taken) == len(steps.before) == 24
    assert min(steps.before) > 0.5
    assert max(steps.taken) == pytest.approx(0.5, rel=1e-3)


def test_the_rate_warms_up_to_its_value_and_then_falls_by_a_cosine(
    run: tuple[Config, Steps, Path],
) -> None:
    config, steps, _ = run
    full, warm = config.optimizer.lr * 1 / 8, 5
    low = full * config.optimizer.final_lr

    expected = [full * (0.01 + 0.99 * step / warm) for step in range(warm)]
    expected += [
        low + (full - low) * (1 + math.cos(math.pi * step / (24 - warm))) / 2
        for step in range(24 - warm)
    ]

    assert steps.rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("batch", "accumulate", "by"), [(8, 1, 1.0), (4, 1, 0.5), (4, 2, 1.0), (2, 6, 1.5)]
)
def test_the_rate_is_scaled_by_the_pairs_of_a_step(
    batch: int, accumulate: int, by: float, stage1: Path, tmp_path: Path
) -> None:
    config = tiny(share_data(stage1.parent, tmp_path))
    config = replace(
        config,
        data=replace(config.data, batch=batch),
        optimizer=replace(config.optimizer, accumulate=accumulate, warmup_steps=0),
    )
    start = Start()

    with pytest.raises(StartedError):
        train(config, "stage1", watchers=[start])

    assert start.rate == pytest.approx(1e-3 * by)


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_term(
    stage1: Path, tmp_path: Path
) -> None:
    class Poison(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            weight: Any = pl_module.get_parameter("detector.roi_heads.box_predictor.cls_score.bias")
            weight.data.fill_(torch.nan)

    with pytest.raises(ValueError, match=r"not finite at step 0 \(loss_classifier nan\); lower"):
        train(tiny(share_data(stage1.parent, tmp_path)), "stage1", watchers=[Poison()])


def test_weights_biases_and_the_temperature_have_their_own_groups(
    stage1: Path,
) -> None:
    optimizer = torch.load(stage1 / "last.ckpt", weights_only=True)["optimizer_states"][0]
    groups = {group["name"]: group for group in optimizer["param_groups"]}

    assert groups["decayed"]["weight_decay"] == 1e-4
    assert groups["not-decayed"]["weight_decay"] == 0.0
    assert groups["temperature"]["weight_decay"] == 0.0
    assert groups["temperature"]["initial_lr"] == pytest.approx(
        0.1 * groups["decayed"]["initial_lr"]
    )
    assert len(groups["temperature"]["params"]) == 1


def test_weights_that_the_last_step_spoilt_end_the_run_and_are_named(
    stage1: Path, tmp_path: Path
) -> None:
    class PoisonAtTheEnd(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            if trainer.is_last_batch:
                pl_module.get_parameter("detector.msp.alpha").data.fill_(torch.nan)

    config = tiny(share_data(stage1.parent, tmp_path))
    with pytest.raises(ValueError, match=r"msp\.alpha is not finite after epoch 1; lower optim"):
        train(config, "stage1", watchers=[PoisonAtTheEnd()])
