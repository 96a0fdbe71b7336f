"""A tiny CLIP under the Transformers `Trainer`, with gradient accumulation."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    CLIPConfig,
    CLIPModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Captioned(Dataset):
    """Flat images of a colour, captioned by its number."""

    def __init__(self, size: int) -> None:
        self.colours = torch.rand(40, 3)
        self.numbers = torch.randint(0, 40, (size,))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        number = self.numbers[index]
        image = self.colours[number][:, None, None] + 0.1 * torch.randn(3, 32, 32)
        return {"pixel_values": image, "input_ids": torch.tensor([1, 2 + int(number), 47])}


class PrintLoss(TrainerCallback):
    """Prints what the trainer logs."""

    def on_log(self, _args: object, state: object, _: object, logs: dict, **_more: object) -> None:
        if "loss" in logs:
            print(f"step {state.global_step} loss {logs['loss']}")


def build() -> CLIPModel:
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {
        **tower,
        "vocab_size": 48,
        "max_position_embeddings": 8,
        "eos_token_id": 47,
        "bos_token_id": 1,
    }
    vision = {**tower, "image_size": 32, "patch_size": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))


def main() -> None:
    torch.manual_seed(0)
    model = build()
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            max_steps=6,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model,
            args,
            train_dataset=Captioned(96),
            data_collator=lambda rows: {
                **{key: torch.stack([row[key] for row in rows]) for key in rows[0]},
                "return_loss": True,
            },
            callbacks=[PrintLoss()],
        )
        trainer.remove_callback(PrinterCallback)  # it prints the time too
        trainer.train()


if __name__ == "__main__":
    main()
