"""Token selection by a predicted score that learns from the weights it gives."""

import torch
from reid import DIM, TOKENS, Aggregation, ReID
from torch import Tensor, nn
from train import train


class TokenSelector(nn.Module):
    """Keeps the best half of the tokens and merges them, weighted by their scores."""

    def __init__(self, keep: float = 0.5) -> None:
        super().__init__()
        self.score_predictor = nn.Sequential(nn.Linear(DIM, 24), nn.GELU(), nn.Linear(24, 1))
        self.aggregation = Aggregation(int(keep * TOKENS))

    def select(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        score = self.score_predictor(patches).squeeze(-1)
        return score.topk(self.aggregation.kept, dim=1)

    def forward(self, patches: Tensor, _centre: Tensor) -> Tensor:
        kept_score, kept = self.select(patches)
        tokens = patches.gather(1, kept.unsqueeze(-1).expand(-1, -1, DIM))
        logits = self.aggregation.logits(tokens) + kept_score.log_softmax(1).unsqueeze(1)
        return logits.softmax(-1) @ tokens


if __name__ == "__main__":
    torch.manual_seed(0)
    train(ReID(TokenSelector))
