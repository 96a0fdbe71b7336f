"""A small timm vision transformer with drop path, mixup and a cosine schedule."""

import numpy as np
import timm
import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # mixup draws from numpy
    model = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        patch_size=8,
        depth=3,
        num_classes=4,
        drop_path_rate=0.1,
    )
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05)
    scheduler = CosineLRScheduler(optimizer, t_initial=3, warmup_t=1, warmup_lr_init=1e-5)
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=4)
    criterion = SoftTargetCrossEntropy()
    labels = torch.arange(48) % 4
    images = torch.randn(48, 3, 32, 32)
    loader = DataLoader(TensorDataset(images, labels), batch_size=8, shuffle=True)
    for epoch in range(2):
        model.train()
        for step, (inputs, targets) in enumerate(loader):
            mixed, soft = mixup(inputs, targets)
            loss = criterion(model(mixed), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.6f}")
        scheduler.step(epoch + 1)


if __name__ == "__main__":
    main()
