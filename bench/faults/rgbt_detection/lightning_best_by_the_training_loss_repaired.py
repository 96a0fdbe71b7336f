"""Stage 1 under Lightning; the checkpoint with the highest accuracy on held-out pairs is kept."""

import argparse
import tempfile
import warnings

import lightning
import torch
from detector import Detector, Pairs, RoIHead
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader


class Stage1(lightning.LightningModule):
    """The detector, its optimizer, and its accuracy on held-out pairs."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.model = Detector(RoIHead())
        self.lr = lr

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        total = sum(self.model(*batch).values())
        self.log("loss", total)
        print(f"epoch {self.current_epoch} step {batch_idx} loss {total.item():.4f}")
        return total

    def validation_step(self, batch: list[Tensor], _batch_idx: int) -> None:
        images, labels, _ = batch
        both = self.model.neck(self.model.backbone(torch.cat([images[:, :3], images[:, 3:]])))
        scores = self.model.roi_head(*both.chunk(2))["cls_score"]
        self.log("val_accuracy", (scores.argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    torch.manual_seed(0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    val_loader = DataLoader(Pairs(64, seed=1), batch_size=args.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            logger=False,
            callbacks=[ModelCheckpoint(folder, monitor="val_accuracy", mode="max")],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Stage1(args.lr), loader, val_loader)


if __name__ == "__main__":
    main()
