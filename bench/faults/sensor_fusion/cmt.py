"""A small camera+LiDAR detector with the module names of CMT, and a new part (AQR) on it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Scenes(Dataset):
    """Synthetic scenes: one object, in the image and in the bird's-eye view of the points."""

    def __init__(self, size: int = 128, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(size, 3, 32, 32, generator=generator) * 0.3
        self.points = torch.rand(size, 4, 32, 32, generator=generator) * 0.3
        self.labels = torch.randint(0, 3, (size,), generator=generator)
        self.centres = torch.rand(size, 2, generator=generator) * 0.8 + 0.1
        for i, (label, (x, y)) in enumerate(zip(self.labels, self.centres, strict=True)):
            column, row = int(x * 24), int(y * 24)
            self.images[i, label, row : row + 8, column : column + 8] += 0.7
            self.points[i, :, row : row + 8, column : column + 8] += 0.7

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.images[index], self.points[index], self.labels[index], self.centres[index]


def conv_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class CmtHead(nn.Module):
    """Learned queries over the tokens of both sensors."""

    def __init__(self, queries: int = 8, dim: int = 32) -> None:
        super().__init__()
        self.shared_conv = conv_bn(dim, dim)
        self.bev_embedding = nn.Linear(2, dim)
        self.rv_embedding = nn.Linear(2, dim)
        self.reference_points = nn.Embedding(queries, 2)
        self.transformer = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.task_heads = nn.Linear(dim, 3 + 2)

    def query_embed(self) -> Tensor:
        return self.bev_embedding(self.reference_points.weight.sigmoid())

    def forward(self, image: Tensor, points: Tensor, bias: Tensor) -> Tensor:
        grid = torch.linspace(0, 1, image.shape[-1])
        cells = torch.cartesian_prod(grid, grid)
        points = self.shared_conv(points).flatten(2).transpose(1, 2)
        image = image.flatten(2).transpose(1, 2)
        keys = torch.cat([points + self.bev_embedding(cells), image + self.rv_embedding(cells)], 1)
        queries = self.query_embed().expand(len(image), -1, -1)
        values = torch.cat([points, image], 1)
        mask = bias.repeat_interleave(4, dim=0)  # one for each head
        return self.task_heads(self.transformer(queries, keys, values, attn_mask=mask)[0])


class AQRWeightGenerator(nn.Module):
    """How much each query should trust each sensor, from -1 to 1; 0 at the start."""

    def __init__(self, queries: int = 8, dim: int = 32) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, 2 * queries))

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        both = torch.cat([image.mean((2, 3)), points.mean((2, 3))], dim=1)
        return self.mlp(both).unflatten(1, (2, -1)).tanh()  # (B, 2, Q)


class AttentionBiasGenerator(nn.Module):
    """Turns the weights into a bias on the attention of all tokens of a sensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bias_scale", torch.tensor(2.5))

    def forward(self, weights: Tensor, tokens: int) -> Tensor:
        bias = self.bias_scale * weights.flip(1).transpose(1, 2)  # points first
        return bias.repeat_interleave(tokens, dim=2)  # (B, Q, 2 * tokens)


class CMT(nn.Module):
    """Both encoders, their necks, and the head."""

    def __init__(self) -> None:
        super().__init__()
        self.img_backbone = nn.Sequential(conv_bn(3, 16, 2), conv_bn(16, 32, 2))
        self.img_neck = conv_bn(32, 32)
        self.pts_voxel_encoder = nn.Identity()
        self.pts_middle_encoder = conv_bn(4, 16, 2)
        self.pts_backbone = conv_bn(16, 32, 2)
        self.pts_neck = conv_bn(32, 32)
        self.pts_bbox_head = CmtHead()
        self.aqr_weight_generator = AQRWeightGenerator()
        self.attention_bias_generator = AttentionBiasGenerator()

    def forward(self, image: Tensor, points: Tensor, labels: Tensor, centres: Tensor) -> dict:
        image = self.img_neck(self.img_backbone(image))
        points = self.pts_middle_encoder(self.pts_voxel_encoder(points))
        points = self.pts_neck(self.pts_backbone(points))
        weights = self.aqr_weight_generator(image, points)
        bias = self.attention_bias_generator(weights, image.shape[2] * image.shape[3])
        best = self.pts_bbox_head(image, points, bias).mean(1)
        return {
            "loss_cls": 2.0 * F.cross_entropy(best[:, :3], labels),
            "loss_bbox": 0.25 * F.l1_loss(best[:, 3:].sigmoid(), centres),
        }
