"""A tiny region-text CLIP: image and caption towers, region features, two losses and a bank."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

DIM = 32
WORDS = 24


class Scenes(Dataset):
    """Synthetic scenes: one coloured square; the caption names its colour and its place."""

    def __init__(self, size: int = 512, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        colours = torch.rand(8, 3, generator=generator)
        self.images = torch.rand(size, 3, 32, 32, generator=generator) * 0.2
        colour = torch.randint(0, 8, (size,), generator=generator)
        place = torch.randint(0, 16, (size,), generator=generator)
        self.captions = torch.stack([colour, 8 + place], dim=1)
        rows, columns = place // 4 * 8, place % 4 * 8
        self.cells = place
        for image, c, row, column in zip(self.images, colour, rows, columns, strict=True):
            image[:, row : row + 8, column : column + 8] += colours[c, :, None, None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.images[index], self.captions[index], self.cells[index]


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 64), nn.GELU(), nn.Linear(64, DIM))


class RegionCLIP(nn.Module):
    """Returns unit vectors of the image, of the region, and of the caption."""

    def __init__(self, logit_scale_init_value: float = 2.6592) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, 8, 8)
        self.places = nn.Parameter(torch.randn(16, DIM))
        self.vision = mlp()
        self.words = nn.Embedding(WORDS, DIM)
        self.text = mlp()
        self.roi_projection = nn.Linear(DIM, DIM)
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale_init_value))

    def forward(self, images: Tensor, captions: Tensor, cells: Tensor) -> tuple[Tensor, ...]:
        patches = self.patches(images).flatten(2).transpose(1, 2) + self.places
        tokens = self.vision(patches)  # (B, 16, D)
        regions = tokens[torch.arange(len(cells)), cells]
        text = self.text(self.words(captions).mean(1))
        return (
            F.normalize(tokens.mean(1), dim=-1),
            F.normalize(self.roi_projection(regions), dim=-1),
            F.normalize(text, dim=-1),
        )


def contrastive(scale: Tensor, visual: Tensor, text: Tensor) -> Tensor:
    """Symmetric InfoNCE; row i of both sides belongs together."""
    logits = scale.exp() * visual @ text.T
    labels = torch.arange(len(visual))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


class MemoryBank(nn.Module):
    """Further negatives: the captions of earlier micro-batches, first in, first out."""

    def __init__(self, size: int = 128, warmup_steps: int = 400) -> None:
        super().__init__()
        self.warmup_steps = warmup_steps
        self.register_buffer("queue", F.normalize(torch.randn(size, DIM), dim=-1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("training_step", torch.zeros((), dtype=torch.long))

    def enabled(self) -> bool:
        return bool(self.training_step > self.warmup_steps)

    def loss(self, scale: Tensor, visual: Tensor, text: Tensor) -> Tensor:
        logits = scale.exp() * visual @ torch.cat([text, self.queue.clone()]).T
        return F.cross_entropy(logits, torch.arange(len(visual)))

    @torch.no_grad()
    def push(self, text: Tensor) -> None:
        rows = (self.pointer + torch.arange(len(text))) % len(self.queue)
        self.queue[rows] = text.detach()
        self.pointer.copy_((self.pointer + len(text)) % len(self.queue))
        self.training_step += 1
