"""MSP: a gate per pixel that lets each modality weigh its own features."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


class ModalitySpecificGate(nn.Module):
    """Multiplies features by 1/2 + sigmoid of what their neighbourhood says: (0.5, 1.5).

    Two 1x1 convolutions read the average and the maximum of 3x3 neighbourhoods; `alpha` in [0, 1]
    mixes the two maps for the visible modality, and 1 - alpha for the infrared one. At the start
    both convolutions are zero: the gate is exactly 1, and a pretrained detector is unchanged.
    `2 (channels + 1) + 1` parameters: 515 at 256 channels.
    """

    def __init__(self, channels: int) -> None:
        """Start as the identity, with an effective alpha of 0.5."""
        super().__init__()
        self.average = nn.Conv2d(channels, 1, 1)
        self.maximum = nn.Conv2d(channels, 1, 1)
        self.alpha = nn.Parameter(torch.tensor(0.5))
        for each in (self.average, self.maximum):
            nn.init.zeros_(each.weight)
            assert each.bias is not None, "made with a bias above"
            nn.init.zeros_(each.bias)

    def gate(self, features: Tensor) -> Tensor:
        """Return the factor of each pixel, (2B, 1, H, W), for (2B, C, H, W): visible, infrared."""
        # Averaging after the convolution is the same, on one channel instead of all: at the border
        # only pixels of the image count. Channels last, the maximum takes a quarter of the time.
        average = functional.avg_pool2d(self.average(features), 3, 1, 1, count_include_pad=False)
        last = features.contiguous(memory_format=torch.channels_last)
        maximum = self.maximum(functional.max_pool2d(last, 3, 1, 1))
        alpha = self.alpha.clamp(0, 1)
        half = len(features) // 2
        share = torch.cat([alpha.expand(half), (1 - alpha).expand(half)]).view(-1, 1, 1, 1)
        return 0.5 + torch.sigmoid(share * average + (1 - share) * maximum)

    def forward(self, levels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gate every level of a pyramid; one set of weights serves them all."""
        return {name: features * self.gate(features) for name, features in levels.items()}
