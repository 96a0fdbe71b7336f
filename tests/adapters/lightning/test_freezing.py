"""Freezing under the real Lightning: accumulation, validation in the middle, resumption."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from stepscope.core import Recording
from stepscope.evidence.freezing import FreezeRecord
from stepscope.freezing.plans import Plan, Stage

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
pl = pytest.importorskip("lightning.pytorch")
STAGED = Plan(tuned={"backbone": 0.1}, stages=(Stage(frozen=("backbone",), until_epoch=2),))


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head = nn.Linear(8, 1)
        self.callback: Any = None
        self.rates: list[list[float]] = []

    def configure_optimizers(self) -> Any:
        if self.callback is None:
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        else:
            optimizer = torch.optim.AdamW(self.callback.applied.parameter_groups(lr=0.01))
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        assert self.head.training
        torch.manual_seed(self.global_step)
        loss: Tensor = self.head(self.backbone(batch[0])).square().mean()
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        assert not self.head.training

    def on_train_epoch_end(self) -> None:
        self.rates.append([group["lr"] for group in self.optimizers().param_groups])


def fit(
    module: Module, callback: Any, folder: Path, epochs: int, resume: Path | None = None
) -> Any:
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.randn(16, 4) + 2), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=[callback, pl.callbacks.ModelCheckpoint(folder, save_last=True)],
        accumulate_grad_batches=2,
        val_check_interval=0.5,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, data, data, ckpt_path=resume)
    return trainer


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_a_frozen_part_keeps_its_bits_and_the_record_says_so(tmp_path: Path) -> None:
    from stepscope.adapters.lightning import FreezeCallback

    module = Module()
    before = bits(module.backbone)
    record = tmp_path / "freeze.json"
    fit(module, FreezeCallback(["backbone"], prove_every=1, record=record), tmp_path, 2)
    after = bits(module.backbone)
    assert all(torch.equal(before[name], after[name]) for name in before)
    (written,) = Recording.from_json(record.read_bytes(), [FreezeRecord])
    assert isinstance(written, FreezeRecord)
    assert written.steps == 4
    assert len(written.checks) == 5
    assert not [breach for check in written.checks for breach in check.breaches]


def test_a_stage_ends_at_its_epoch_with_the_rate_it_would_have_had(tmp_path: Path) -> None:
    from stepscope.adapters.lightning import FreezeCallback

    module = Module()
    module.callback = FreezeCallback(STAGED)
    before = bits(module.backbone)
    fit(module, module.callback, tmp_path, 2)
    assert all(torch.equal(before[name], now) for name, now in bits(module.backbone).items())
    module, before = Module(), {}
    module.callback = FreezeCallback(STAGED)
    fit(module, module.callback, tmp_path, 4)
    assert module.callback.applied.stage == 1
    assert module.backbone.training
    assert module.rates == [[0.01 / 2**e, 0.001 / 2**e] for e in (1, 2, 3, 4)]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_fit_ends_bit_by_bit_as_one_that_went_through(tmp_path: Path, stop: int) -> None:
    from stepscope.adapters.lightning import FreezeCallback

    def begun() -> Module:
        torch.manual_seed(1)
        module = Module()
        module.callback = FreezeCallback(STAGED)
        return module

    whole = begun()
    fit(whole, whole.callback, tmp_path / "whole", 5)
    half = begun()
    fit(half, half.callback, tmp_path / "half", stop)
    rest = begun()
    fit(rest, rest.callback, tmp_path / "rest", 5, tmp_path / "half" / "last.ckpt")
    expected = bits(whole)
    assert all(torch.equal(expected[name], now) for name, now in bits(rest).items())


def test_a_plan_that_tunes_refuses_an_optimizer_that_does_not_know_it(tmp_path: Path) -> None:
    from stepscope.adapters.lightning import FreezeCallback

    with pytest.raises(ValueError, match="make the optimizer of callback"):
        fit(Module(), FreezeCallback(STAGED), tmp_path, 1)


def test_what_lightnings_own_callback_leaves_moving_stands_still_here() -> None:
    from lightning.pytorch.callbacks import BackboneFinetuning

    import stepscope

    theirs, ours = Module(), Module()
    BackboneFinetuning.freeze(theirs.backbone)
    stepscope.freeze(ours, "backbone")
    assert theirs.backbone[1].weight.requires_grad  # train_bn=True is its default
    assert not ours.backbone[1].weight.requires_grad
    assert theirs.train().backbone[1].training
    assert not ours.train().backbone[1].training


def test_parameters_that_equal_others_in_value_are_not_lost() -> None:
    from lightning.pytorch.callbacks import BaseFinetuning

    from stepscope.freezing.plans import AppliedPlan

    def held(optimizer: torch.optim.Optimizer) -> int:
        return sum(len(group["params"]) for group in optimizer.param_groups)

    model = nn.ModuleDict({"a": nn.BatchNorm1d(8), "b": nn.BatchNorm1d(8)})
    BaseFinetuning.freeze(model["b"], train_bn=False)
    theirs = torch.optim.SGD(model["a"].parameters(), lr=0.1)
    BaseFinetuning.unfreeze_and_add_param_group(model["b"], theirs)
    assert held(theirs) == 2  # b's ones and zeros are taken for those of a
    model = nn.ModuleDict({"a": nn.BatchNorm1d(8), "b": nn.BatchNorm1d(8)})
    plan = AppliedPlan(Plan(stages=(Stage(frozen=("b",), until_epoch=1),)), model)
    ours = torch.optim.SGD(plan.parameter_groups(lr=0.1))
    plan.advance(epoch=1, optimizer=ours)
    assert held(ours) == 4
