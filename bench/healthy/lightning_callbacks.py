"""A Lightning module with several callbacks, a CSV logger, validation and accumulation."""

import tempfile
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    """A small network with a one-cycle schedule."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4)
        )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        print(f"epoch {self.current_epoch} batch {batch_idx} loss {loss.item():.6f}")
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self.net(x), y))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1e-2, total_steps=self.trainer.estimated_stepping_batches
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def main() -> None:
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    lightning.seed_everything(0, verbose=False)
    labels = torch.arange(192) % 4
    data = TensorDataset(torch.randn(192, 16) + torch.randn(4, 16)[labels], labels)
    train, val = torch.utils.data.random_split(data, [160, 32])
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            accumulate_grad_batches=2,
            gradient_clip_val=1.0,
            logger=CSVLogger(folder),
            log_every_n_steps=1,
            callbacks=[
                EarlyStopping("val_loss", patience=3),
                ModelCheckpoint(folder, monitor="val_loss"),
                LearningRateMonitor(),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            Classifier(),
            DataLoader(train, batch_size=16, shuffle=True),
            DataLoader(val, batch_size=16),
        )


if __name__ == "__main__":
    main()
