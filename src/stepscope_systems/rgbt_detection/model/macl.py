"""MACL: draws the two modalities of one person together, and different people apart."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = Literal["bn", "gn", "none"]
_SMALLEST, _LARGEST = 0.01, 1.0  # of the temperature; 0.01 is CLIP's bound (Radford et al., 2021)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """People in the space of the projection: rows of unit length, row i of both is one person."""

    visible: Tensor  # (N, D)
    infrared: Tensor  # (N, D)


class Projector(nn.Sequential):
    """256 -> 128 -> 64 -> 128 with one normalisation: 49,728 parameters."""

    def __init__(self, channels: int, norm: Norm) -> None:
        """Normalise after the first layer, over the batch or in 32 groups."""
        layers: dict[Norm, nn.Module] = {
            "bn": nn.BatchNorm1d(128),
            "gn": nn.GroupNorm(32, 128),
            "none": nn.Identity(),
        }
        super().__init__(
            nn.Linear(channels, 128),
            layers[norm],
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 128),
        )


class ModalityAlignment(nn.Module):
    """Projects features of people, and holds the temperature of their similarities."""

    def __init__(self, channels: int, norm: Norm) -> None:
        """Start at a temperature of 0.07 (Wu et al., CVPR 2018; He et al., CVPR 2020)."""
        super().__init__()
        self.projector = Projector(channels, norm)
        self.tau = nn.Parameter(torch.tensor(0.07))

    @property
    def temperature(self) -> Tensor:
        """The temperature within its bounds, 0.01 to 1."""
        return self.tau.clamp(_SMALLEST, _LARGEST)

    def forward(self, visible: Tensor, infrared: Tensor) -> Embedded:
        """Project (N, C) of each modality in one call on 2N rows.

        With one person there are still two rows, so batch normalisation has a variance. In float32
        under autocast.
        """
        with torch.autocast(visible.device.type, enabled=False):
            both = torch.cat([visible, infrared]).float()
            rows = functional.normalize(self.projector(both), dim=1)
        return Embedded(visible=rows[: len(visible)], infrared=rows[len(visible) :])


def info_nce(embedded: Embedded, temperature: Tensor) -> Tensor:
    """Return the InfoNCE loss in both directions, over the N people of the batch; N >= 2.

    Source: van den Oord et al. 2018, equation 4; symmetric as in Radford et al. 2021.

    Raises:
        ValueError: fewer than two people: there is nothing to tell them from.
    """
    if len(embedded.visible) < 2:  # noqa: PLR2004 - with one, the loss is 0 whatever it says
        raise ValueError(f"InfoNCE over {len(embedded.visible)} people; expected two or more")
    similarity = embedded.visible @ embedded.infrared.T / temperature
    own = torch.arange(len(similarity), device=similarity.device)
    return (
        functional.cross_entropy(similarity, own) + functional.cross_entropy(similarity.T, own)
    ) / 2
