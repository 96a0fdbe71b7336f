"""A small detector on visible/infrared pairs: one shared backbone, a neck, a RoI head."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Pairs(Dataset):
    """Synthetic pairs: one bright rectangle, warm (class 1) or cold (class 0) in the infrared."""

    def __init__(self, size: int = 256, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(size, 6, 32, 32, generator=generator) * 0.3
        self.labels = torch.randint(0, 2, (size,), generator=generator)
        corner = torch.randint(0, 16, (size, 2), generator=generator)
        extent = torch.randint(8, 16, (size, 2), generator=generator)
        self.boxes = torch.cat([corner, corner + extent], dim=1).float() / 32  # xyxy in [0, 1]
        for image, label, box in zip(self.images, self.labels, self.boxes, strict=True):
            x1, y1, x2, y2 = (box * 32).int().tolist()
            image[:3, y1:y2, x1:x2] += 0.7
            image[3:, y1:y2, x1:x2] += 0.7 * label

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.images[index], self.labels[index], self.boxes[index]


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class Backbone(nn.Module):
    """A stem and three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBlock(3, 16, 2)
        self.layer1 = ConvBlock(16, 16, 1)
        self.layer2 = ConvBlock(16, 32, 2)
        self.layer3 = ConvBlock(32, 64, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer3(self.layer2(self.layer1(self.stem(images))))


class MACLHead(nn.Module):
    """Pulls the two modalities of one object together: InfoNCE over the pairs of a batch."""

    def __init__(self, dim: int = 64, norm: str = "bn") -> None:
        super().__init__()
        normalisation = nn.BatchNorm1d(dim) if norm == "bn" else nn.GroupNorm(8, dim)
        self.proj = nn.Sequential(nn.Linear(dim, dim), normalisation, nn.ReLU(), nn.Linear(dim, 32))
        self.tau = nn.Parameter(torch.tensor(0.2))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        z_visible = F.normalize(self.proj(visible), dim=1)
        z_infrared = F.normalize(self.proj(infrared), dim=1)
        similarity = z_visible @ z_infrared.T / self.tau.clamp(0.01, 1)
        pairs = torch.arange(len(visible))
        return (F.cross_entropy(similarity, pairs) + F.cross_entropy(similarity.T, pairs)) / 2


class RoIHead(nn.Module):
    """Class and box of the object, and the contrastive loss between its two modalities."""

    def __init__(
        self, return_modality_pair: bool = True, lambda_macl: float = 0.5, norm: str = "bn"
    ) -> None:
        super().__init__()
        self.return_modality_pair = return_modality_pair
        self.lambda_macl = lambda_macl
        self.fc_cls = nn.Linear(64, 2)
        self.fc_reg = nn.Linear(64, 4)
        self.macl_head = MACLHead(64, norm)

    def forward(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        pooled_visible, pooled_infrared = visible.mean((2, 3)), infrared.mean((2, 3))
        fused = (pooled_visible + pooled_infrared) / 2
        results = {"cls_score": self.fc_cls(fused), "bbox_pred": self.fc_reg(fused).sigmoid()}
        if self.return_modality_pair:
            results["pair"] = (pooled_visible, pooled_infrared)
        return results

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.l1_loss(results["bbox_pred"], boxes),
        }
        if "pair" in results:
            losses["loss_macl"] = self.lambda_macl * self.macl_head(*results["pair"])
        return losses


class Detector(nn.Module):
    """Both modalities through one backbone; returns the losses."""

    def __init__(self, roi_head: RoIHead) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.neck = nn.Conv2d(64, 64, 1)
        self.roi_head = roi_head

    def forward(self, images: Tensor, labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        features = self.neck(self.backbone(torch.cat([images[:, :3], images[:, 3:]])))
        results = self.roi_head(*features.chunk(2))
        return self.roi_head.loss(results, labels, boxes)
