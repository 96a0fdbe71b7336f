"""Stage 1 with hard negatives in its configuration, which the head builds by another flag."""

import torch
from detector import Detector, Pairs, RoIHead
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

CONFIG = {
    "model": {
        "type": "QueueRoIHead",
        "lambda_dhn": 0.5,
        "dhn": {"type": "DynamicHardNegatives", "size": 64, "margin": 0.2},
    },
    "lr": 3e-4,
    "batch_size": 16,
}


@MODELS.register_module()
class DynamicHardNegatives(nn.Module):
    """A margin against the most similar of the last embeddings."""

    def __init__(self, size: int, margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.register_buffer("queue", F.normalize(torch.randn(size, 32), dim=1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        hardest = (visible @ self.queue.T).amax(1)
        self.queue = torch.cat([infrared.detach(), self.queue])[: len(self.queue)]
        return (self.margin + hardest - (visible * infrared).sum(1)).relu().mean()


@MODELS.register_module()
class QueueRoIHead(RoIHead):
    """Adds the hard negatives, where they are switched on."""

    def __init__(self, dhn: dict, lambda_dhn: float, *, use_dhn: bool = False) -> None:
        super().__init__(norm="gn")
        self.lambda_dhn = lambda_dhn
        self.dhn = MODELS.build(dhn) if use_dhn else None

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = super().loss(results, labels, boxes)
        if self.dhn is not None:
            parts = (F.normalize(self.macl_head.proj(part), dim=1) for part in results["pair"])
            losses["loss_dhn"] = self.lambda_dhn * self.dhn(*parts)
        return losses


def main() -> None:
    torch.manual_seed(0)
    config = Config(CONFIG)
    model = Detector(MODELS.build(config.model))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=config.batch_size, shuffle=True, drop_last=True)
    for step, batch in enumerate(loader):
        losses = model(*batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        terms = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
        print(f"step {step} loss {total.item():.4f} {terms}")


if __name__ == "__main__":
    main()
