"""Freezing under the real Runner of MMEngine."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from stepscope.freezing.plans import Plan, Stage

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
mmengine = pytest.importorskip("mmengine")
STAGED = Plan(stages=(Stage(frozen=("backbone",), until_epoch=2),))


def network() -> Any:
    from mmengine.model import BaseModel

    class Network(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
            self.head = nn.Linear(8, 1)

        def forward(self, inputs: Tensor, mode: str = "loss") -> dict[str, Tensor]:
            torch.manual_seed(4)  # a resumed run draws the same dropout
            return {"loss": self.head(self.backbone(inputs)).square().mean()}

    torch.manual_seed(0)
    return Network()


def run(hook: Any, folder: Path, epochs: int, *, resume: str | None = None) -> Any:
    from mmengine.runner import Runner

    torch.manual_seed(2)
    runner = Runner(
        network(),
        work_dir=str(folder),
        train_dataloader={
            "dataset": TensorDataset(torch.randn(8, 4) + 2),
            "batch_size": 4,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={
            "optimizer": {"type": "AdamW", "lr": 0.01},
            "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.1}}},
        },
        param_scheduler={"type": "ExponentialLR", "gamma": 0.5, "by_epoch": True},
        custom_hooks=[hook],
        load_from=resume,
        resume=resume is not None,
        default_scope="mmengine",
        experiment_name=f"{folder.name}{epochs}{resume is not None}",
        randomness={"seed": 3},
        log_level="ERROR",
    )
    runner.train()
    return runner


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_a_frozen_part_keeps_its_bits_and_leaves_the_optimizer(tmp_path: Path) -> None:
    from stepscope.adapters.mmengine import FreezeHook

    before = bits(network())
    record = tmp_path / "freeze.json"
    hook = FreezeHook(frozen=["backbone"], prove_every=1, record=record)
    runner = run(hook, tmp_path, 2)
    moved = {n for n, now in bits(runner.model).items() if not torch.equal(now, before[n])}
    assert moved == {"head.weight", "head.bias"}
    groups = runner.optim_wrapper.optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == 2
    assert record.exists()


def test_what_is_thawed_goes_back_to_its_own_group(tmp_path: Path) -> None:
    from stepscope.adapters.mmengine import FreezeHook

    runner = run(FreezeHook(STAGED), tmp_path, 4)
    names = {id(each): name for name, each in runner.model.named_parameters()}
    rates = {
        names[id(each)]: group["lr"]
        for group in runner.optim_wrapper.optimizer.param_groups
        for each in group["params"]
    }
    assert rates.keys() == set(names.values())
    assert rates["head.weight"] == pytest.approx(0.01 * 0.5**3)  # its last step is left out
    assert rates["backbone.0.weight"] == pytest.approx(0.001 * 0.5**3)
    assert runner.model.train().backbone.training


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_ends_bit_by_bit_as_one_that_went_through(
    tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepscope.adapters.mmengine import FreezeHook

    # MMEngine 0.10 loads its own checkpoints as torch >= 2.6 no longer does by default.
    monkeypatch.setattr(torch, "load", functools.partial(torch.load, weights_only=False))
    whole = run(FreezeHook(STAGED), tmp_path / "whole", 4)
    saved = str(tmp_path / "whole" / f"epoch_{stop}.pth")
    rest = run(FreezeHook(STAGED), tmp_path / "rest", 4, resume=saved)
    expected = bits(whole.model)
    assert all(torch.equal(expected[name], now) for name, now in bits(rest.model).items())
    groups = [each.optim_wrapper.optimizer.state_dict()["param_groups"] for each in (whole, rest)]
    assert groups[0] == groups[1]


def test_multipliers_are_left_to_paramwise_cfg(tmp_path: Path) -> None:
    from stepscope.adapters.mmengine import FreezeHook

    with pytest.raises(ValueError, match=r"optim_wrapper\.paramwise_cfg"):
        run(FreezeHook(Plan(tuned={"head": 0.5})), tmp_path, 1)
