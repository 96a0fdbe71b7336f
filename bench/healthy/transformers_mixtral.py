"""A tiny Mixtral language model under the Transformers `Trainer`, with its router loss."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    MixtralConfig,
    MixtralForCausalLM,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Counting(Dataset):
    """Sequences that count upwards from a random number."""

    def __init__(self, size: int) -> None:
        self.starts = torch.randint(0, 48, (size, 1))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens = self.starts[index] + torch.arange(16)
        return {"input_ids": tokens, "labels": tokens.clone()}


class PrintLoss(TrainerCallback):
    """Prints what the trainer logs."""

    def on_log(self, _args: object, state: object, _: object, logs: dict, **_more: object) -> None:
        if "loss" in logs:
            print(f"step {state.global_step} loss {logs['loss']}")


def main() -> None:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=32,
        output_router_logits=True,
        router_aux_loss_coef=0.02,
        use_cache=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            max_steps=6,
            per_device_train_batch_size=4,
            learning_rate=3e-3,
            lr_scheduler_type="cosine",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(
            MixtralForCausalLM(config),
            args,
            train_dataset=Counting(32),
            callbacks=[PrintLoss()],
        )
        trainer.remove_callback(PrinterCallback)  # it prints the time too
        trainer.train()


if __name__ == "__main__":
    main()
