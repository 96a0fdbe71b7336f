"""Freezing under the real Trainer of Transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stepscope.freezing.plans import Plan, Stage

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
transformers = pytest.importorskip("transformers")
STAGED = Plan(tuned={"bert": 0.1}, stages=(Stage(frozen=("bert",), until_step=3),))


def network() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        hidden_dropout_prob=0.5,
    )
    return transformers.BertForSequenceClassification(config)


def data() -> list[dict[str, Any]]:
    return [{"input_ids": [i % 20] * 6, "labels": i % 2} for i in range(24)]


def train(model: Any, callback: Any, folder: Path, steps: int, **options: Any) -> Any:
    resume = options.pop("resume", None)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=0.01,
        save_steps=2,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = transformers.Trainer(
        model, arguments, train_dataset=data(), callbacks=[callback], **options
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_a_frozen_part_keeps_its_bits_and_is_in_no_group(tmp_path: Path) -> None:
    from stepscope.adapters.transformers import FreezeCallback

    model = network()
    before = bits(model)
    record = tmp_path / "freeze.json"
    callback = FreezeCallback(model, ["bert"], prove_every=1, record=record)
    trainer = train(model, callback, tmp_path, 3)
    moved = {name for name, now in bits(model).items() if not torch.equal(now, before[name])}
    assert moved == {"classifier.weight", "classifier.bias"}
    assert sum(len(group["params"]) for group in trainer.optimizer.param_groups) == 2
    assert record.exists()
    assert model.train().bert.encoder.layer[0].output.dropout.training is False


def test_a_stage_ends_at_its_step(tmp_path: Path) -> None:
    from stepscope.adapters.transformers import FreezeCallback

    model = network()
    callback = FreezeCallback(model, Plan(stages=STAGED.stages))
    before = bits(model.bert)
    trainer = train(model, callback, tmp_path, 5)
    assert callback.applied.stage == 1
    assert not torch.equal(
        bits(model.bert)["embeddings.word_embeddings.weight"],
        before["embeddings.word_embeddings.weight"],
    )
    held = {id(each) for group in trainer.optimizer.param_groups for each in group["params"]}
    assert held == {id(each) for each in model.parameters()}


def test_a_resumed_training_ends_bit_by_bit_as_one_that_went_through(tmp_path: Path) -> None:
    from stepscope.adapters.transformers import FreezeCallback

    def run(folder: Path, steps: int, resume: Path | None = None) -> dict[str, Tensor]:
        model = network()
        callback = FreezeCallback(model, STAGED, resume_from=resume)
        optimizer = torch.optim.AdamW(callback.applied.parameter_groups(lr=0.01))
        schedule = transformers.get_constant_schedule_with_warmup(optimizer, 2)
        train(model, callback, folder, steps, optimizers=(optimizer, schedule), resume=resume)
        return bits(model)

    whole = run(tmp_path / "whole", 6)
    for at in (2, 4):
        rest = run(tmp_path / f"rest{at}", 6, tmp_path / "whole" / f"checkpoint-{at}")
        assert all(torch.equal(whole[name], now) for name, now in rest.items())


def test_a_plan_that_tunes_refuses_the_trainers_own_optimizer(tmp_path: Path) -> None:
    from stepscope.adapters.transformers import FreezeCallback

    model = network()
    with pytest.raises(ValueError, match=r"optimizers=\(AdamW"):
        train(model, FreezeCallback(model, STAGED), tmp_path, 1)


def test_a_folder_without_the_trainers_state_is_refused(tmp_path: Path) -> None:
    from stepscope.adapters.transformers import FreezeCallback

    with pytest.raises(ValueError, match=r"no trainer_state\.json"):
        FreezeCallback(network(), STAGED, resume_from=tmp_path)
