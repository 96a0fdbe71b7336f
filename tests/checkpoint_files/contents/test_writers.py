"""Checkpoints as torch and the frameworks write them, described by what they were made of."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from stepscope.checkpoint_files.contents.describing import describe
from stepscope.evidence.checkpoint_file import CheckpointFile, OptimizerFacts

Moments = dict[str, float]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 12))
        self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(3))
        self.head = nn.Linear(12, 2)
        self.register_buffer("queue", torch.randn(6, 12))
        self.register_buffer("queue_ptr", torch.tensor([4]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        features = self.backbone(inputs)
        for block in self.blocks:
            features = block(features).relu()
        scores: torch.Tensor = self.head(features) * self.logit_scale.exp()
        return scores


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.randn(6, 4)).square().mean().backward()
    optimizer.step()


def moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> Moments:
    """Return the truth: the mean second moment of each parameter, by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: float(kept["exp_avg_sq"].mean())
        for parameter, kept in optimizer.state.items()
    }


def read(path: Path, order: tuple[str, ...] = ()) -> CheckpointFile:
    return describe(path, order=order).evidence


def told(optimizer: OptimizerFacts) -> dict[str, object]:
    return {slot.parameter: pytest.approx(slot.second_moment, rel=1e-4) for slot in optimizer.slots}


@pytest.fixture
def net() -> Net:
    return Net()


def two_groups(net: Net) -> torch.optim.Optimizer:
    trained = [p for p in net.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-3,
    )


def test_optimizer_state_is_told_by_name_though_its_keys_are_numbers(
    net: Net, tmp_path: Path
) -> None:
    net.backbone.requires_grad_(False)
    optimizer = two_groups(net)
    step(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    (found,) = read(tmp_path / "a.pt").optimizers
    assert told(found) == moments(net, optimizer)
    assert found.kind == "Adam or AdamW"
    assert [group.weight_decay for group in found.groups] == [0.01, 0.0]


def test_it_is_said_that_the_names_are_not_unique(net: Net, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(net.blocks[1].parameters())
    step(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    (found,) = read(tmp_path / "a.pt").optimizers
    assert not found.is_certain
    assert [slot.parameter for slot in found.slots] == ["", ""]
    assert found.slots[0].candidates == 3  # blocks of one shape


@pytest.mark.parametrize(("width", "is_certain"), [(6, False), (5, True)])
def test_a_name_is_certain_only_where_no_other_parameter_has_the_shape(
    tmp_path: Path, *, width: int, is_certain: bool
) -> None:
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, width, bias=False))
    optimizer = torch.optim.AdamW(
        reversed([*model.parameters()]) if width == 6 else model.parameters()
    )
    model(torch.randn(2, 6)).sum().backward()
    optimizer.step()
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    (found,) = read(tmp_path / "a.pt").optimizers
    assert found.is_certain is is_certain
    said = "possible for 2, if groups follow the model's order"
    assert (
        found.names_from.endswith("certain for 2 of 2 parameters, whose shapes are unique")
        is is_certain
    )
    assert (said in found.names_from) is not is_certain


def test_an_optimizer_alone_lacks_nothing_of_its_own(net: Net, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(net.parameters())
    torch.optim.lr_scheduler.StepLR(optimizer, 10)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    found = read(tmp_path / "optimizer.pt")
    assert found.lacks == ()
    assert found.optimizers[0].path == "the file"


def test_names_that_the_file_has_are_used(net: Net, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(net.blocks[1].named_parameters(prefix="blocks.1"))
    step(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    (found,) = read(tmp_path / "a.pt").optimizers
    assert told(found) == moments(net, optimizer)


def test_the_parts_of_a_hand_made_checkpoint_are_found(net: Net, tmp_path: Path) -> None:
    optimizer = two_groups(net)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    step(net, optimizer)
    schedule.step()
    saved = {
        "net": net.state_dict(),
        "ema": {name: value.clone() for name, value in net.state_dict().items()},
        "optim": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "rng_state": torch.get_rng_state(),
        "scaler": {
            "scale": 2.0**16,
            "growth_factor": 2.0,
            "backoff_factor": 0.5,
            "growth_interval": 2000,
            "_growth_tracker": 0,
        },
        "epoch": 3,
        "global_step": 40,
    }
    torch.save(saved, tmp_path / "a.pt")
    file = read(tmp_path / "a.pt")
    assert {each.kind for each in file.parts} == {"scheduler", "scaler", "ema", "rng"}
    assert {each.name: each.value for each in file.counters} == {"epoch": 3, "global_step": 40}
    assert [each.name for each in file.model] == list(net.state_dict())
    (bank,) = file.banks
    assert (bank.name, bank.pointer, bank.pointer_name) == ("queue", 4, "queue_ptr")
    assert file.lacks == ()


def test_a_scheduler_that_was_there_and_was_not_saved_is_proved(net: Net, tmp_path: Path) -> None:
    optimizer = two_groups(net)
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    step(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    proved = [each.what for each in read(tmp_path / "a.pt").lacks if each.is_proved]
    assert proved == ["scheduler"]


def test_a_tied_tensor_is_named_by_both_of_its_names(tmp_path: Path) -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    torch.save(model.state_dict(), tmp_path / "a.pt")
    shared = {each.name: each.shared_with for each in read(tmp_path / "a.pt").model}
    assert shared == {"embed.weight": "", "head.weight": "embed.weight"}


def write_lightning(folder: Path) -> tuple[Path, nn.Module, Moments]:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return self.net(batch[0]).square().mean()

        def configure_optimizers(self) -> object:
            optimizer = torch.optim.AdamW(self.parameters())
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.randn(8, 4)), batch_size=4
    )
    trainer = lightning.Trainer(
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accelerator="cpu",
        default_root_dir=folder,
    )
    module = Module()
    trainer.fit(module, data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt", module, moments(module, trainer.optimizers[0])


def write_mmengine(folder: Path) -> tuple[Path, nn.Module, Moments]:
    pytest.importorskip("mmengine")
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Model(BaseModel):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> object:
            scores = self.net(inputs)
            return {"loss": scores.square().mean()} if mode == "loss" else scores

    runner = Runner(
        model=Model(),
        work_dir=str(folder),
        train_dataloader=torch.utils.data.DataLoader(
            [{"inputs": torch.randn(4)} for _ in range(8)], batch_size=4
        ),
        optim_wrapper={
            "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.01},
            "paramwise_cfg": {"norm_decay_mult": 0.0},
        },
        param_scheduler=[{"type": "MultiStepLR", "milestones": [1], "by_epoch": True}],
        train_cfg={"by_epoch": True, "max_epochs": 1},
        experiment_name=folder.name,
        log_level="ERROR",
    )
    runner.train()
    model = runner.model
    return folder / "epoch_1.pth", model, moments(model, runner.optim_wrapper.optimizer)


def write_distributed(folder: Path) -> tuple[Path, nn.Module, Moments]:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    net = Net()
    optimizer = two_groups(net)
    step(net, optimizer)
    truth = moments(net, optimizer)
    model, state = get_state_dict(net, optimizer)
    dcp.save({"model": model, "optim": state, "epoch": 1}, checkpoint_id=folder / "dcp")
    return folder / "dcp", net, truth


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "writer"),
    [
        (write_lightning, "Lightning"),
        (write_mmengine, "MMEngine"),
        (write_distributed, "torch.distributed.checkpoint"),
    ],
)
def test_the_optimizer_of_a_framework_is_told_by_name(
    write: Callable[[Path], tuple[Path, nn.Module, Moments]], writer: str, tmp_path: Path
) -> None:
    path, model, truth = write(tmp_path)
    file = read(path)
    assert file.writer.startswith(writer)
    assert {each.name for each in file.model} == set(model.state_dict())
    assert told(file.optimizers[0]) == truth
    assert "epoch" in {each.name.rpartition("/")[2] for each in file.counters}


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_transformers_needs_the_order_of_the_model(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
    )
    model = transformers.BertForSequenceClassification(config)
    sample = {"input_ids": torch.randint(0, 20, (8,)), "labels": torch.tensor(0)}
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=2,
            save_steps=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=[sample] * 4,
    )
    trainer.train()
    folder = tmp_path / "checkpoint-2"
    alone = read(folder)
    assert alone.writer == "Transformers Trainer"
    assert {each.kind for each in alone.parts} >= {"scheduler", "rng"}
    assert not alone.optimizers[0].is_certain
    truth = moments(model, trainer.optimizer)
    order = tuple(name for name, _ in model.named_parameters())
    assert told(read(folder, order).optimizers[0]) == truth
    sure = {s.parameter: s.second_moment for s in alone.optimizers[0].slots if s.parameter}
    assert sure == {name: pytest.approx(truth[name], rel=1e-4) for name in sure}


def test_a_file_of_safetensors_is_weights_only(net: Net, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(net.state_dict(), tmp_path / "a.safetensors", metadata={"format": "pt"})
    file = read(tmp_path / "a.safetensors")
    assert file.writer == "safetensors, from PyTorch"
    assert not file.is_resumable
    assert {each.name: each.shape for each in file.model} == {
        name: tuple(value.shape) for name, value in net.state_dict().items()
    }
