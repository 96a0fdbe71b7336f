"""Counts, bit by bit, what moves in a "frozen" backbone under each way to freeze it.

python -m bench.freezing.drift        20 steps of AdamW, about two minutes on two cores
"""

import copy
import sys
from collections.abc import Callable

import stepscope
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer, resnet18

STEPS, CLASSES = 20, 5
Freeze = Callable[[nn.Module, torch.optim.Optimizer], object]


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "ResNet-18":
        backbone: nn.Module = resnet18()
        backbone.fc = nn.Identity()
        return nn.Sequential(backbone, nn.Linear(512, CLASSES))
    backbone = VisionTransformer(32, 8, num_layers=4, num_heads=3, hidden_dim=96, mlp_dim=192)
    backbone.heads = nn.Identity()
    return nn.Sequential(backbone, nn.Linear(96, CLASSES))


def by_rate(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    del model
    optimizer.param_groups[0]["lr"] = 0.0


def by_flag(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model[0].requires_grad_(requires_grad=False)
    optimizer.param_groups[0]["params"] = []


def by_lightning(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    from lightning.pytorch.callbacks import BackboneFinetuning

    del optimizer
    BackboneFinetuning.freeze(model[0], train_bn=True)  # its default


def by_floored_schedule(model: nn.Module, optimizer: torch.optim.Optimizer) -> object:
    by_rate(model, optimizer)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100, eta_min=1e-6)


def by_stepscope(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    stepscope.freeze(model, "0", optimizer=optimizer)


VARIANTS: dict[str, tuple[Freeze, bool]] = {  # and whether the program puts it into eval mode
    "full tuning": (lambda *_: None, False),
    "lr 0": (by_rate, False),
    "lr 0, eval()": (by_rate, True),
    "lr 0, cosine with eta_min=1e-6": (by_floored_schedule, False),
    "requires_grad=False": (by_flag, False),
    "requires_grad=False, eval()": (by_flag, True),
    "Lightning BackboneFinetuning": (by_lightning, False),
    "stepscope.freeze": (by_stepscope, False),
}


def moved(before: dict[str, Tensor], model: nn.Module, names: set[str]) -> tuple[int, int, float]:
    """Return how many of these tensors changed in any bit, how many there are, the largest move."""
    after = model[0].state_dict()
    changed = [name for name in names if not torch.equal(before[name], after[name])]
    largest = max(
        (float((after[name].double() - before[name].double()).abs().max()) for name in changed),
        default=0.0,
    )
    return len(changed), len(names), largest


def row(kind: str, variant: str) -> str:
    freeze, is_evaluated = VARIANTS[variant]
    model = network(kind)
    groups = [{"params": [*part.parameters()]} for part in model]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
    schedule = freeze(model, optimizer)
    before = copy.deepcopy(model[0].state_dict())
    parameters = {name for name, _ in model[0].named_parameters()}
    torch.manual_seed(1)
    for _ in range(STEPS):
        model.train()
        if is_evaluated:
            model[0].eval()
        optimizer.zero_grad()
        images, labels = torch.rand(8, 3, 32, 32) + 1, torch.randint(CLASSES, (8,))
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
    weights = moved(before, model, parameters)
    buffers = moved(before, model, before.keys() - parameters)
    own = {id(each) for each in model[0].parameters()}
    states = sum(id(each) in own for each in optimizer.state)
    cells = [f"{n}/{all_} | {most:.2g}" for n, all_, most in (weights, buffers)]
    return f"| {kind} | {variant} | {' | '.join(cells)} | {states} |"


def main() -> None:
    heading = "| model | variant | parameters changed | max | buffers changed | max | states |"
    sys.stdout.write(f"{heading}\n|---|---|---|---:|---|---:|---:|\n")
    for kind in ("ResNet-18", "ViT"):
        for variant in VARIANTS:
            sys.stdout.write(f"{row(kind, variant)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
