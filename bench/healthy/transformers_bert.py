"""A tiny BERT classifier under the Transformers `Trainer`, with evaluation and warm-up."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Sentences(Dataset):
    """Token sequences; the class is whether the second token is large."""

    def __init__(self, size: int) -> None:
        self.tokens = torch.randint(1, 64, (size, 12))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens = self.tokens[index]
        return {
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
            "labels": (tokens[1] > 32).long(),
        }


class PrintLoss(TrainerCallback):
    """Prints what the trainer logs."""

    def on_log(self, _args: object, state: object, _: object, logs: dict, **_more: object) -> None:
        if "loss" in logs:
            print(f"step {state.global_step} loss {logs['loss']}")


def main() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        num_labels=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            max_steps=8,
            per_device_train_batch_size=8,
            learning_rate=1e-3,
            warmup_steps=2,
            weight_decay=0.01,
            eval_strategy="steps",
            eval_steps=4,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(
            BertForSequenceClassification(config),
            args,
            train_dataset=Sentences(128),
            eval_dataset=Sentences(16),
            callbacks=[PrintLoss()],
        )
        trainer.remove_callback(PrinterCallback)  # it prints the time too
        trainer.train()


if __name__ == "__main__":
    main()
