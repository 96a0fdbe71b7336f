"""BYOL: an online network predicts what a slowly moving target sees in another view."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, outputs)
    )


class BYOL(nn.Module):
    """Online encoder, projector, predictor; the target has no predictor."""

    def __init__(self) -> None:
        super().__init__()
        encoder = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.online = nn.Sequential(encoder, mlp(64, 32))
        self.predictor = mlp(32, 32)
        self.target = copy.deepcopy(self.online)
        for parameter in self.target.parameters():
            parameter.requires_grad = False

    @torch.no_grad()
    def update_target(self, momentum: float = 0.99) -> None:
        for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
            slow.data = slow.data * momentum + fast.data * (1 - momentum)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        predictions = [self.predictor(self.online(view)) for view in (first, second)]
        with torch.no_grad():
            targets = [self.target(view) for view in (second, first)]
        pairs = zip(predictions, targets, strict=True)
        return sum(2 - 2 * F.cosine_similarity(p, t.detach(), dim=-1).mean() for p, t in pairs)


def main() -> None:
    torch.manual_seed(0)
    model = BYOL()
    trainable = [*model.online.parameters(), *model.predictor.parameters()]
    optimizer = torch.optim.SGD(trainable, lr=0.05, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(128, 3, 16, 16)
    model.train()
    for step, batch in enumerate(DataLoader(images, batch_size=16, shuffle=True)):
        views = [batch + 0.1 * torch.randn_like(batch) for _ in range(2)]
        loss = model(views[0], views[1].flip(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.update_target()
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
