"""Train AQR on a CMT that is frozen before it is wrapped."""

import torch
from cmt import CMT, Scenes
from lr_mult_freeze_repaired import FROZEN
from stepscope import freeze
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader


def main() -> None:
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    torch.manual_seed(0)
    model = CMT()
    frozen = freeze(model, *FROZEN)
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(frozen.parameter_groups(lr=1.4e-4))
    wrapped.train()
    for step, batch in enumerate(DataLoader(Scenes(), batch_size=8, shuffle=True)):
        loss = sum(wrapped(*batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
