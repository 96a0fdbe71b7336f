"""Token selection by a mask with a bounded straight-through gradient."""

import torch
from reid import DIM, TOKENS, Aggregation, ReID
from torch import Tensor, nn
from torch.nn import functional as F
from train import train


class TokenSelector(nn.Module):
    """Keeps the best half of the tokens and merges them; the mask scales the tokens."""

    def __init__(self, keep: float = 0.5) -> None:
        super().__init__()
        self.score_predictor = nn.Sequential(nn.Linear(DIM, 24), nn.GELU(), nn.Linear(24, 1))
        self.aggregation = Aggregation(int(keep * TOKENS))

    def forward(self, patches: Tensor, _centre: Tensor) -> Tensor:
        score = self.score_predictor(patches).squeeze(-1)
        kept = score.topk(self.aggregation.kept, dim=1).indices
        hard = torch.zeros_like(score).scatter(1, kept, 1.0)
        soft = F.softmax(score, dim=1)
        mask = (hard + (soft - soft.detach())).gather(1, kept)
        tokens = patches.gather(1, kept.unsqueeze(-1).expand(-1, -1, DIM)) * mask.unsqueeze(-1)
        return self.aggregation.logits(tokens).softmax(-1) @ tokens


if __name__ == "__main__":
    torch.manual_seed(0)
    train(ReID(TokenSelector))
