"""A stream of its own for each modality, joined by a gate that looks at both."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stream(nn.Sequential):
    """Three convolutions with ReLUs, and their mean over the image."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class TwoStreams(nn.Module):
    """Class and box of the object in a pair; `gate_bias` opens or shuts the infrared at first."""

    def __init__(self, gate_bias: float = 0.0) -> None:
        super().__init__()
        self.visible_stream, self.infrared_stream = Stream(), Stream()
        self.gate = nn.Linear(64, 1)
        nn.init.normal_(self.gate.weight, std=0.01)
        nn.init.constant_(self.gate.bias, gate_bias)
        self.fc_cls, self.fc_reg = nn.Linear(32, 2), nn.Linear(32, 4)

    def forward(
        self, visible: Tensor, infrared: Tensor, labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        seen, warm = self.visible_stream(visible), self.infrared_stream(infrared)
        fused = seen + torch.sigmoid(self.gate(torch.cat([seen, warm], dim=1))) * warm
        return {
            "loss_cls": F.cross_entropy(self.fc_cls(fused), labels),
            "loss_bbox": F.l1_loss(self.fc_reg(fused).sigmoid(), boxes),
        }
