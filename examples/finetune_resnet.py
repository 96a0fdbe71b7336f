"""Fine-tune a torchvision ResNet on ten classes of synthetic pictures, with its backbone frozen.

    python examples/finetune_resnet.py [--steps 20] [--frozen]

The backbone is "frozen" by a learning rate of zero, as many a recipe does it; with `--frozen` it
is frozen.
"""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18


def pictures(count: int) -> TensorDataset:
    """Noise, in which the mean colour tells the class. Images (N, 3, 64, 64), labels in 0..9."""
    labels = torch.randint(0, 10, (count,))
    colours = torch.rand(10, 3, generator=torch.Generator().manual_seed(0))
    images = torch.randn(count, 3, 64, 64) * 0.2 + colours[labels][:, :, None, None]
    return TensorDataset(images, labels)


def freeze(module: nn.Module) -> None:
    """Stop gradients, and the running statistics of normalisation layers."""
    module.requires_grad_(False)
    module.eval()


def main() -> None:
    """Train the head on a fixed backbone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frozen", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)

    model = resnet18(weights=None)
    model.fc = nn.Linear(model.fc.in_features, 10)
    backbone = nn.ModuleList(child for name, child in model.named_children() if name != "fc")
    if arguments.frozen:
        model.train()
        freeze(backbone)
        optimizer = torch.optim.AdamW(model.fc.parameters(), lr=1e-3)
    else:
        groups = [
            {"params": backbone.parameters(), "lr": 0.0},  # keep the pretrained features
            {"params": model.fc.parameters(), "lr": 1e-3},
        ]
        optimizer = torch.optim.AdamW(groups)

    loader = DataLoader(pictures(16 * arguments.steps), batch_size=16, shuffle=True)
    for step, (images, labels) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step}: loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
