"""Stage 1 with pairs switched on by a data class; the model that is evaluated is built without."""

import dataclasses

import stepscope
import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


@dataclasses.dataclass(frozen=True)
class Config:
    """What the model and its training are made of."""

    lambda_macl: float = 0.5
    norm: str = "gn"
    return_modality_pair: bool = False
    lr: float = 3e-4
    batch_size: int = 16


def roi_head(lambda_macl: float, norm: str, *, return_modality_pair: bool = False) -> RoIHead:
    return RoIHead(return_modality_pair, lambda_macl, norm)


def main() -> None:
    config = stepscope.watch_config(Config(return_modality_pair=True))
    torch.manual_seed(0)
    head = roi_head(
        lambda_macl=config.lambda_macl,
        norm=config.norm,
        return_modality_pair=config.return_modality_pair,
    )
    model = Detector(head)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=config.batch_size, shuffle=True, drop_last=True)
    for step, batch in enumerate(loader):
        losses = model(*batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        terms = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
        print(f"step {step} loss {total.item():.4f} {terms}")
    evaluated = Detector(roi_head(lambda_macl=config.lambda_macl, norm=config.norm))
    evaluated.load_state_dict(model.state_dict())
    with torch.no_grad():
        losses = evaluated.eval()(*next(iter(loader)))
    print("evaluated", " ".join(f"{name} {value.item():.4f}" for name, value in losses.items()))


if __name__ == "__main__":
    main()
