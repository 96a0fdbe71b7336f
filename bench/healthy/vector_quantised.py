"""VQ-VAE: a straight-through estimator over the nearest code, codebook and commitment losses."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


class VectorQuantizer(nn.Module):
    """Replaces each vector by its nearest code; the gradient passes straight through."""

    def __init__(self, codes: int = 16, dim: int = 8) -> None:
        super().__init__()
        self.codebook = nn.Embedding(codes, dim)
        nn.init.uniform_(self.codebook.weight, -1 / codes, 1 / codes)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        nearest = torch.cdist(z, self.codebook.weight).argmin(dim=-1)
        quantised = self.codebook(nearest)
        loss = F.mse_loss(quantised, z.detach()) + 0.25 * F.mse_loss(z, quantised.detach())
        return z + (quantised - z).detach(), loss


def main() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    quantizer = VectorQuantizer()
    decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))
    modules = nn.ModuleList([encoder, quantizer, decoder])
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-3)
    data = torch.randn(256, 16).sin()
    for step, x in enumerate(DataLoader(data, batch_size=32, shuffle=True)):
        quantised, vq_loss = quantizer(encoder(x))
        reconstruction = F.mse_loss(decoder(quantised), x)
        loss = reconstruction + vq_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f} reconstruction {reconstruction.item():.6f}")


if __name__ == "__main__":
    main()
