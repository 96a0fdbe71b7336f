"""A small GAN: two optimizers, two discriminator steps for each generator step."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

N_CRITIC = 2
LATENT = 8


def main() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(LATENT, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16), nn.Tanh()
    )
    discriminator = nn.Sequential(nn.Linear(16, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    real_samples = torch.randn(512, 16).sin()
    loader = DataLoader(TensorDataset(real_samples), batch_size=32, shuffle=True)
    for step, (real,) in enumerate(loader):
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        fake = generator(torch.randn(len(real), LATENT))
        optimizer_d.zero_grad()
        loss_real = criterion(discriminator(real), ones)
        loss_fake = criterion(discriminator(fake.detach()), zeros)
        loss_d = loss_real + loss_fake
        loss_d.backward()
        optimizer_d.step()
        if step % N_CRITIC == N_CRITIC - 1:
            optimizer_g.zero_grad()
            fake = generator(torch.randn(len(real), LATENT))
            loss_g = criterion(discriminator(fake), ones)
            loss_g.backward()
            optimizer_g.step()
            print(f"step {step} generator {loss_g.item():.6f}")
        print(f"step {step} discriminator {loss_d.item():.6f}")


if __name__ == "__main__":
    main()
