"""How far Adam's second moments of healthy models spread between modules: the measure of CKP009.

python bench/checkpoint_files/second_moments.py

Each model is trained from its initial values on random data for a few steps of AdamW. Printed are
the largest root mean square of a module over the median of the modules, and the widest gap between
neighbours among the larger half. CKP009 asks for 1e5 and 1e3.
"""

import itertools
import math
import statistics
import warnings
from collections.abc import Callable

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForMaskedLM,
    CLIPConfig,
    CLIPModel,
    GPT2Config,
    GPT2LMHeadModel,
)

WORDS = 500


def image_loss(size: int) -> Callable[[nn.Module], Tensor]:
    def loss(model: nn.Module) -> Tensor:
        scores = model(torch.randn(8, 3, size, size))
        return functional.cross_entropy(scores, torch.randint(0, 10, (8,)))

    return loss


def text_loss(model: nn.Module) -> Tensor:
    words = torch.randint(0, WORDS, (4, 32))
    loss: Tensor = model(input_ids=words, labels=words).loss
    return loss


def pair_loss(model: nn.Module) -> Tensor:
    words = torch.randint(0, WORDS - 1, (8, 16))
    pixels = torch.randn(8, 3, 32, 32)
    loss: Tensor = model(input_ids=words, pixel_values=pixels, return_loss=True).loss
    return loss


def detection_loss(model: nn.Module) -> Tensor:
    target = {"boxes": torch.tensor([[10.0, 10, 50, 60]]), "labels": torch.tensor([1])}
    losses: dict[str, Tensor] = model([torch.rand(3, 96, 96) for _ in range(2)], [target] * 2)
    return torch.stack(list(losses.values())).sum()


def clip() -> nn.Module:
    shared = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    text = {"vocab_size": WORDS, "max_position_embeddings": 32, "eos_token_id": WORDS - 1}
    vision = {"image_size": 32, "patch_size": 8}
    return CLIPModel(
        CLIPConfig(text_config=shared | text, vision_config=shared | vision, projection_dim=32)
    )


def bert() -> nn.Module:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=WORDS,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=128,
        )
    )


def detector() -> nn.Module:
    build = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
    model: nn.Module = build(weights=None, weights_backbone=None, num_classes=3)
    return model


class Tagger(nn.Module):
    """An LSTM of two layers over an embedding, most of whose rows a batch does not meet."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 64)
        self.lstm = nn.LSTM(64, 64, num_layers=2, batch_first=True)
        self.head = nn.Linear(64, WORDS)

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.lstm(self.embedding(words))[0])
        return scores


def next_word_loss(model: nn.Module) -> Tensor:
    words = torch.randint(0, WORDS, (4, 33))
    return functional.cross_entropy(model(words[:, :-1]).flatten(0, 1), words[:, 1:].flatten())


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Tensor], int]] = {
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), image_loss(32), 30),
    "mobilenet_v3": (
        lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
        image_loss(32),
        20,
    ),
    "vgg11": (lambda: torchvision.models.vgg11(num_classes=10), image_loss(32), 4),
    "vit_tiny": (
        lambda: timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10, depth=4
        ),
        image_loss(32),
        20,
    ),
    "convnext_atto": (
        lambda: timm.create_model("convnext_atto", num_classes=10),
        image_loss(64),
        15,
    ),
    "bert": (bert, text_loss, 30),
    "gpt2": (
        lambda: GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_embd=64, n_layer=4, n_head=4)),
        text_loss,
        30,
    ),
    "lstm": (Tagger, next_word_loss, 30),
    "clip": (clip, pair_loss, 30),
    "faster_rcnn": (detector, detection_loss, 5),
}


def module_rms(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    sums: dict[str, tuple[float, int]] = {}
    for name, parameter in model.named_parameters():
        kept = optimizer.state.get(parameter)
        if kept:
            module = name.rpartition(".")[0] or name
            total, count = sums.get(module, (0.0, 0))
            sums[module] = total + float(kept["exp_avg_sq"].sum()), count + parameter.numel()
    rms = [math.sqrt(total / count) for total, count in sums.values() if total]
    return sorted(rms, reverse=True)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (build, loss, steps) in CASES.items():
        model = build().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model).backward()
            optimizer.step()
        rms = module_rms(model, optimizer)
        upper = rms[: (len(rms) + 1) // 2 + 1]
        gap = max(one / other for one, other in itertools.pairwise(upper))
        over = rms[0] / statistics.median(rms)
        print(f"{name:14} {len(rms):4} modules  top/median {over:8.1f}  widest gap {gap:6.1f}")


if __name__ == "__main__":
    main()
