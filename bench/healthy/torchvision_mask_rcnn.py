"""Torchvision's Mask R-CNN on a ResNet-18 with a feature pyramid."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone


class Rectangles(Dataset):
    """One bright rectangle for each image, with its mask."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 96, 96, generator=generator) * 0.3
        x, y = torch.randint(0, 40, (2,), generator=generator).tolist()
        mask = torch.zeros(1, 96, 96, dtype=torch.uint8)
        mask[:, y : y + 40, x : x + 48] = 1
        box = torch.tensor([[x, y, x + 48, y + 40]], dtype=torch.float32)
        target = {"boxes": box, "labels": torch.ones(1, dtype=torch.long), "masks": mask}
        return image + 0.6 * mask, target


def main() -> None:
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    model = MaskRCNN(
        backbone,
        num_classes=2,
        min_size=96,
        max_size=96,
        rpn_pre_nms_top_n_train=100,
        rpn_post_nms_top_n_train=30,
        box_batch_size_per_image=16,
    )
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.0005, momentum=0.9, weight_decay=5e-4)
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
