"""Advantage actor-critic on a toy walk; the advantage that weighs the policy is detached."""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical


class ActorCritic(nn.Module):
    """A shared trunk, a policy and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 32), nn.Tanh())
        self.policy = nn.Linear(32, 2)
        self.value = nn.Linear(32, 1)

    def forward(self, state: Tensor) -> tuple[Categorical, Tensor]:
        features = self.trunk(state)
        return Categorical(logits=self.policy(features)), self.value(features).squeeze(-1)


def rollout(model: ActorCritic, length: int = 16) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    state = torch.rand(8, 2) - 0.5
    log_probs, values, rewards, entropies = [], [], [], []
    for _ in range(length):
        distribution, value = model(state)
        action = distribution.sample()
        state = state + 0.1 * torch.stack([2.0 * action - 1, torch.zeros(8)], dim=1)
        rewards.append(-state[:, 0].abs())
        log_probs.append(distribution.log_prob(action))
        values.append(value)
        entropies.append(distribution.entropy())
    return tuple(torch.stack(each) for each in (log_probs, values, rewards, entropies))


def main() -> None:
    torch.manual_seed(0)
    model = ActorCritic()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for episode in range(10):
        log_probs, values, rewards, entropies = rollout(model)
        returns = torch.zeros_like(rewards)
        running = torch.zeros(rewards.shape[1])
        for t in reversed(range(len(rewards))):
            running = rewards[t] + 0.95 * running
            returns[t] = running
        advantage = returns - values.detach()
        policy_loss = -(log_probs * advantage).mean()
        value_loss = nn.functional.smooth_l1_loss(values, returns)
        loss = policy_loss + 0.5 * value_loss - 0.01 * entropies.mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        print(f"episode {episode} loss {loss.item():.6f} return {returns[0].mean().item():.4f}")


if __name__ == "__main__":
    main()
