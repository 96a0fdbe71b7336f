"""Stage 1; the accuracy on held-out pairs, which are left as they are."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset


class Augmented(Dataset):
    """Pairs at a random brightness."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        image, label, box = self.pairs[index]
        return image * torch.empty(()).uniform_(0.6, 1.4), label, box


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    pairs, chosen = Pairs(), torch.randperm(256).tolist()
    train_pairs = Subset(Augmented(pairs), chosen[:192])
    held_out = Subset(pairs, chosen[192:])
    loader = DataLoader(train_pairs, batch_size=args.batch_size, shuffle=True, drop_last=True)
    held_out_loader = DataLoader(held_out, batch_size=args.batch_size)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels, _ in held_out_loader:
                both = model.neck(model.backbone(torch.cat([images[:, :3], images[:, 3:]])))
                scores = model.roi_head(*both.chunk(2))["cls_score"]
                correct += int((scores.argmax(1) == labels).sum())
        print(f"epoch {epoch} accuracy {correct / len(held_out):.4f}")


if __name__ == "__main__":
    main()
