"""A ResNet-50 and a ViT-S, each with a decoder of a detector's size on its features."""

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer, resnet50

WIDTH, QUERIES, LAYERS, HEADS = 512, 100, 6, 8
PIXELS = 224


class Detector(nn.Module):
    """A backbone whose features queries attend to."""

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Linear(channels, WIDTH)
        self.queries = nn.Embedding(QUERIES, WIDTH)
        layer = nn.TransformerDecoderLayer(WIDTH, HEADS, batch_first=True, dropout=0.0)
        self.decoder = nn.TransformerDecoder(layer, LAYERS)
        self.head = nn.Linear(WIDTH, 4 + 1)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.neck(self.backbone(images))  # (B, N, WIDTH)
        queries = self.queries.weight.expand(len(images), -1, -1)
        return self.head(self.decoder(queries, tokens))


class ResNetTokens(nn.Module):
    """The last feature map of a ResNet-50, a token a cell."""

    def __init__(self) -> None:
        super().__init__()
        network = resnet50()
        self.body = nn.Sequential(*[*network.children()][:-2])

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).flatten(2).transpose(1, 2)  # (B, 49, 2048)


class ViTTokens(VisionTransformer):
    """The tokens of a ViT-S/16."""

    def __init__(self) -> None:
        super().__init__(PIXELS, 16, num_layers=12, num_heads=6, hidden_dim=384, mlp_dim=1536)
        self.heads = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        tokens = self._process_input(images)
        first = self.class_token.expand(len(tokens), -1, -1)
        return self.encoder(torch.cat([first, tokens], dim=1))  # (B, 197, 384)


def resnet50_detector() -> nn.Module:
    return Detector(ResNetTokens(), 2048)


def vit_s_detector() -> nn.Module:
    return Detector(ViTTokens(), 384)


def resnet50_by_lightning() -> nn.Module:
    """Freeze the backbone as Lightning's `BackboneFinetuning` does by default."""
    from lightning.pytorch.callbacks import BackboneFinetuning

    model = resnet50_detector()
    BackboneFinetuning.freeze(model.backbone, train_bn=True)
    return model
