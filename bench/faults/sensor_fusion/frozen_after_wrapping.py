"""Train AQR on a CMT that a hook freezes when training begins: after DDP and the optimizer."""

import torch
from cmt import CMT, Scenes
from lr_mult_freeze_repaired import FROZEN
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader


def before_run(model: CMT) -> None:
    """Freeze the extractors, and put them into evaluation mode."""
    for name in FROZEN:
        model.get_submodule(name).requires_grad_(False).eval()


def main() -> None:
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    torch.manual_seed(0)
    wrapped = DistributedDataParallel(CMT(), find_unused_parameters=True)
    optimizer = torch.optim.AdamW(wrapped.parameters(), lr=1.4e-4)
    wrapped.train()
    before_run(wrapped.module)
    for step, batch in enumerate(DataLoader(Scenes(), batch_size=8, shuffle=True)):
        loss = sum(wrapped(*batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
