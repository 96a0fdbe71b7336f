"""Regression with an exponential moving average kept by `torch.optim.swa_utils`."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x = torch.randn(256, 8)
    loader = DataLoader(TensorDataset(x, x.sin().sum(1, keepdim=True)), batch_size=32, shuffle=True)
    for epoch in range(2):
        model.train()
        for step, (inputs, targets) in enumerate(loader):
            loss = nn.functional.mse_loss(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged.update_parameters(model)
            print(f"epoch {epoch} step {step} loss {loss.item():.6f}")
        averaged.eval()
        with torch.no_grad():
            error = nn.functional.mse_loss(averaged(x), x.sin().sum(1, keepdim=True))
        print(f"epoch {epoch} averaged error {error.item():.6f}")


if __name__ == "__main__":
    main()
