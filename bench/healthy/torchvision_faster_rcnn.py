"""Torchvision's Faster R-CNN with a small backbone on synthetic rectangles."""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models import mobilenet_v3_small
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign


class Rectangles(Dataset):
    """One bright rectangle for each image; the last image has none."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 96, 96, generator=generator) * 0.3
        if index == 11:
            return image, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
        x, y = torch.randint(0, 40, (2,), generator=generator).tolist()
        image[:, y : y + 40, x : x + 48] += 0.6
        box = torch.tensor([[x, y, x + 48, y + 40]], dtype=torch.float32)
        return image, {"boxes": box, "labels": torch.ones(1, dtype=torch.long)}


def build() -> FasterRCNN:
    backbone = mobilenet_v3_small(weights=None).features[:9]
    backbone.out_channels = 48
    return FasterRCNN(
        backbone,
        num_classes=2,
        rpn_anchor_generator=AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        min_size=96,
        max_size=96,
        rpn_pre_nms_top_n_train=200,
        rpn_post_nms_top_n_train=50,
        box_batch_size_per_image=32,
    )


def main() -> None:
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(
        Rectangles(), batch_size=2, collate_fn=lambda batch: tuple(zip(*batch, strict=True))
    )
    model.train()
    for step, (images, targets) in enumerate(loader):
        losses = model(list(images), list(targets))
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
