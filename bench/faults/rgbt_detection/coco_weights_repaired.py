"""Stage 2 from a wrapper's weights of a detector of 80 classes; all but the classes."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def build_model(load_from: str) -> Detector:
    model = Detector(RoIHead())
    state = torch.load(load_from, map_location="cpu")["state_dict"]
    state = {name.removeprefix("module."): value for name, value in state.items()}
    wanted = model.state_dict()
    fits = {name for name, value in wanted.items() if name in state}
    fits = {name for name in fits if state[name].shape == wanted[name].shape}
    model.load_state_dict({name: state[name] for name in fits}, strict=False)
    print(f"loaded {len(fits)} of {len(wanted)}; new: {sorted(wanted.keys() - fits)}")
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--load-from", required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = build_model(args.load_from)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
