"""A tiny model under the MMEngine `Runner`, with validation, warm-up and its default hooks."""

import tempfile

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(BaseModel):
    """Returns losses, or predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU())
        self.head = nn.Linear(32, 4)

    def forward(self, inputs: Tensor, labels: Tensor, mode: str) -> dict[str, Tensor] | list:
        logits = self.head(self.backbone(inputs))
        if mode == "loss":
            loss = nn.functional.cross_entropy(logits, labels)
            print(f"loss {loss.item():.6f}")
            return {"loss_cls": loss}
        return [logits.argmax(1), labels]


class Accuracy(BaseMetric):
    """Share of right answers."""

    def process(self, _data_batch: object, data_samples: list[Tensor]) -> None:
        predicted, labels = data_samples
        self.results.append((int((predicted == labels).sum()), len(labels)))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        return {"accuracy": sum(r[0] for r in results) / sum(r[1] for r in results)}


def main() -> None:
    torch.manual_seed(0)
    labels = torch.arange(160) % 4
    inputs = torch.randn(160, 16) + torch.randn(4, 16)[labels]
    train = DataLoader(TensorDataset(inputs[:128], labels[:128]), batch_size=16, shuffle=True)
    val = DataLoader(TensorDataset(inputs[128:], labels[128:]), batch_size=16)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            model=Classifier(),
            work_dir=folder,
            train_dataloader=train,
            optim_wrapper={
                "optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9},
                "clip_grad": {"max_norm": 5.0},
            },
            param_scheduler=[
                {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 4},
                {"type": "MultiStepLR", "by_epoch": True, "milestones": [1]},
            ],
            train_cfg={"by_epoch": True, "max_epochs": 2},
            val_dataloader=val,
            val_cfg={},
            val_evaluator={"type": Accuracy},
            randomness={"seed": 0},
            default_scope="mmengine",
            experiment_name="tiny",
            log_level="ERROR",
        )
        runner.train()


if __name__ == "__main__":
    main()
