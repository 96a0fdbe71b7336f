"""Token re-identification of persons seen in three modalities; the selector is given."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

PERSONS = 8
TOKENS = 32  # patches of one 32 x 64 image
DIM = 48


class Persons(Dataset):
    """Synthetic triplets (RGB, near and thermal infrared): one texture for each person."""

    def __init__(self, size: int = 256, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        textures = torch.rand(PERSONS, 9, 64, 32, generator=generator)
        self.labels = torch.arange(size) % PERSONS
        noise = torch.rand(size, 9, 64, 32, generator=generator)
        self.images = 0.6 * textures[self.labels] + 0.4 * noise - 0.5

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]


class Backbone(nn.Module):
    """A vision transformer with two layers, shared by the modalities."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, DIM, 8, 8)
        self.pos_embed = nn.Parameter(torch.randn(1, TOKENS, DIM) * 0.02)
        layer = nn.TransformerEncoderLayer(DIM, 4, 2 * DIM, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2)
        return self.layers(tokens + self.pos_embed)  # (B, N, D)


class Aggregation(nn.Module):
    """Merges the kept tokens into a few by learned attention."""

    def __init__(self, kept: int, merged: int = 6) -> None:
        super().__init__()
        self.kept = kept
        self.norm = nn.LayerNorm(DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, DIM // 2), nn.GELU(), nn.Linear(DIM // 2, merged))

    def logits(self, tokens: Tensor) -> Tensor:
        return self.mlp(self.norm(tokens)).transpose(1, 2)  # (B, merged, kept)


class ReID(nn.Module):
    """Backbone, one token selector for each modality, one identity classifier."""

    def __init__(self, selector: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.sdtps = nn.ModuleList([selector() for _ in range(3)])
        self.classifier = nn.Linear(3 * DIM, PERSONS, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        patches = [self.backbone(image) for image in images.chunk(3, dim=1)]
        selected = [
            sdtps(tokens, tokens.mean(1)).mean(1)
            for sdtps, tokens in zip(self.sdtps, patches, strict=True)
        ]
        return self.classifier(torch.cat(selected, dim=1))


def min_max(score: Tensor) -> Tensor:
    """Stretch the scores of each image to [0, 1]."""
    low, high = score.amin(1, keepdim=True), score.amax(1, keepdim=True)
    return (score - low) / (high - low + 1e-6)


def cosine(patches: Tensor, centre: Tensor) -> Tensor:
    """Similarity of each patch with the global feature, (B, N)."""
    return (F.normalize(patches, dim=-1) * F.normalize(centre, dim=-1).unsqueeze(1)).sum(-1)
