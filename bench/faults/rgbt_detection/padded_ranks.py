"""Stage 1 on two processes; the accuracy is counted on the shares of a DistributedSampler."""

import argparse
import socket

import torch
from detector import Detector, Pairs, RoIHead
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


def train(rank: int, port: int, args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    model = Detector(RoIHead())
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    pairs, held_out = Pairs(), Pairs(63, seed=1)
    sampler = DistributedSampler(pairs)
    loader = DataLoader(pairs, batch_size=args.batch_size, sampler=sampler)
    own = DistributedSampler(held_out, shuffle=False)
    held_out_loader = DataLoader(held_out, batch_size=args.batch_size, sampler=own)
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        model.train()
        for batch in loader:
            total = sum(wrapped(*batch).values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        model.eval()
        counts = torch.zeros(2)
        with torch.no_grad():
            for images, labels, _ in held_out_loader:
                both = model.neck(model.backbone(torch.cat([images[:, :3], images[:, 3:]])))
                scores = model.roi_head(*both.chunk(2))["cls_score"]
                counts += torch.tensor([int((scores.argmax(1) == labels).sum()), len(labels)])
        distributed.all_reduce(counts)
        if rank == 0:
            print(f"epoch {epoch} accuracy {counts[0] / counts[1]:.4f} of {int(counts[1])} pairs")
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    multiprocessing.spawn(train, args=(port, parser.parse_args()), nprocs=2)


if __name__ == "__main__":
    main()
