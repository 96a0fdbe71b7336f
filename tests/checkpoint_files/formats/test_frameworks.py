"""Checkpoints that the frameworks themselves write, compared with what they load."""

import warnings
from pathlib import Path

import pytest
import torch

from stepscope.checkpoint_files.content import Content, Opaque, Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read
from tests.checkpoint_files.formats.comparing import same

pytestmark = pytest.mark.corpus


def below(content: Content, *keys: str | int) -> Tree:
    tree = content.tree
    for key in keys:
        assert isinstance(tree, dict)
        tree = tree[key]
    return tree


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_lightning(tmp_path: Path) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(width, 1)

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss = self.layer(batch).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> dict[str, object]:
            optimizer = torch.optim.AdamW(self.parameters())
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            return {"optimizer": optimizer, "lr_scheduler": scheduler}

    trainer = lightning.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, monitor="loss")],
    )
    trainer.fit(Module(3), torch.utils.data.DataLoader(torch.randn(4, 3)))
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    content = read(tmp_path / "x.ckpt")
    same(content.tree, torch.load(tmp_path / "x.ckpt", weights_only=False))
    assert below(content, "hyper_parameters", "width") == 3
    assert below(content, "global_step") == 2


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_mmengine_which_weights_only_refuses(tmp_path: Path) -> None:
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import Runner

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def train_step(self, data: torch.Tensor, optim_wrapper: object) -> dict[str, torch.Tensor]:
            loss = self.layer(data).mean()
            optim_wrapper.update_params(loss)  # type: ignore[attr-defined]
            return {"loss": loss}

    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=torch.utils.data.DataLoader(torch.randn(4, 2)),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        train_cfg={"by_epoch": True, "max_epochs": 1},
        log_level="ERROR",
        experiment_name="x",
    )
    runner.train()
    path = tmp_path / "epoch_1.pth"
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path, weights_only=True)
    content, expected = read(path), torch.load(path, weights_only=False)
    assert isinstance(content.tree, dict)
    for key in ("state_dict", "optimizer"):
        same(content.tree[key], expected[key])
    scalars = below(content, "message_hub", "log_scalars")
    assert isinstance(scalars, dict)
    history = scalars["train/loss"]
    assert isinstance(history, Opaque)
    assert history.name == f"{HistoryBuffer.__module__}.HistoryBuffer"
    assert isinstance(history.state, dict)
    assert history.state["max_length"] == 1000000
    assert below(content, "meta", "epoch") == 1


@pytest.fixture
def tiny() -> torch.nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
        )
    )


@pytest.mark.filterwarnings("ignore")
def test_shards_of_transformers(tiny: torch.nn.Module, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path, max_shard_size="4KB")  # type: ignore[operator]
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    content = read(tmp_path)
    assert content.format == "folder, safetensors, sharded"
    model = below(content, "model")
    assert isinstance(model, dict)
    state = {name: value for name, value in tiny.state_dict().items() if name in model}
    assert len(state) == len(model) > 20
    same({name: model[name] for name in state}, state)
    assert below(content, "config", "hidden_size") == 16


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_the_trainer_of_transformers(tiny: torch.nn.Module, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    one = {"input_ids": torch.arange(5), "labels": torch.tensor(1)}
    arguments = TrainingArguments(
        str(tmp_path), max_steps=2, save_steps=2, use_cpu=True, report_to=[], disable_tqdm=True
    )
    Trainer(tiny, arguments, train_dataset=[one, one]).train()
    content = read(tmp_path / "checkpoint-2")
    assert below(content, "trainer_state", "global_step") == 2
    assert "training_args.bin" not in content.metadata
    for key, file in (("optimizer", "optimizer.pt"), ("scheduler", "scheduler.pt")):
        expected = torch.load(tmp_path / "checkpoint-2" / file, weights_only=False)
        same(below(content, key), expected)
    assert isinstance(below(content, "rng_state"), dict)
    settings = below(content, "training_args")
    assert isinstance(settings, Opaque)
    assert settings.name == "transformers.training_args.TrainingArguments"


@pytest.mark.filterwarnings("ignore")
def test_a_state_of_accelerate(tmp_path: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model, optimizer = accelerator.prepare(model, optimizer)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    accelerator.save_state(str(tmp_path / "state"))
    content = read(tmp_path / "state")
    assert isinstance(content.tree, dict)
    assert set(content.tree) == {"model", "optimizer", "rng_state_0"}
    same(below(content, "model"), dict(sorted(model.state_dict().items())))
    same(below(content, "optimizer"), torch.load(tmp_path / "state/optimizer.bin"))


def test_settings_of_an_unknown_class_are_left_out_and_said_so(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    class Mine:
        pass

    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(torch.nn.Identity(), tmp_path / "training_args.bin")
    content = read(tmp_path)
    assert "Identity" in content.metadata["training_args.bin"]
    (tmp_path / "training_args.bin").rename(tmp_path / "optimizer.pt")
    with pytest.raises(UnreadableCheckpoint, match="Identity"):
        read(tmp_path)
