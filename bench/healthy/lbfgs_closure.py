"""L-BFGS, whose step calls a closure several times."""

import torch
from torch import Tensor, nn


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.LBFGS(
        model.parameters(), lr=0.5, max_iter=5, line_search_fn="strong_wolfe"
    )
    x = torch.randn(128, 4)
    y = x.sin().sum(1, keepdim=True)
    for step in range(8):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
