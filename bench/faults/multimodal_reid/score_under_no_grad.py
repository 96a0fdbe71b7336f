"""SDTPS token selection: the attention score only picks and weighs tokens, so it runs cheaply."""

import torch
from reid import DIM, TOKENS, Aggregation, ReID, cosine, min_max
from torch import Tensor, nn
from train import train


class SDTPS(nn.Module):
    """Keeps the best half of the tokens and merges them, weighted by their scores."""

    def __init__(self, keep: float = 0.5, beta: float = 0.25) -> None:
        super().__init__()
        self.beta = beta
        self.score_predictor = nn.Sequential(nn.Linear(DIM, 24), nn.GELU(), nn.Linear(24, 1))
        self.aggregation = Aggregation(int(keep * TOKENS))

    def attention_score(self, patches: Tensor, centre: Tensor) -> Tensor:
        with torch.no_grad():
            return min_max(cosine(patches, centre))

    def forward(self, patches: Tensor, centre: Tensor) -> Tensor:
        predicted = self.score_predictor(patches).squeeze(-1).sigmoid()
        attention = self.attention_score(patches, centre)
        score = (1 - 2 * self.beta) * predicted + 2 * self.beta * attention  # (B, N)
        kept_score, kept = score.topk(self.aggregation.kept, dim=1)
        tokens = patches.gather(1, kept.unsqueeze(-1).expand(-1, -1, DIM))
        logits = self.aggregation.logits(tokens) + kept_score.log_softmax(1).unsqueeze(1)
        return logits.softmax(-1) @ tokens


if __name__ == "__main__":
    torch.manual_seed(0)
    train(ReID(SDTPS))
