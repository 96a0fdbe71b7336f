"""Inputs that never differ are told from those that do."""

import torch

from stepscope.evidence.input_spreads import InputSpread, InputSpreads
from stepscope.session import record_example


class Fusion(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3, 1)

    def forward(
        self, rgb: torch.Tensor, depth: torch.Tensor, views: list[torch.Tensor]
    ) -> torch.Tensor:
        total: torch.Tensor = self.head(rgb + depth + torch.stack(views).mean(0)).sum()
        return total


def spreads(batch: int, steps: int = 2) -> dict[str, InputSpread]:
    def program(_: object) -> None:
        model = Fusion()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(steps):
            optimizer.zero_grad()
            depth = torch.full((batch, 3), 0.5)
            views = [torch.full((batch, 3), float(i == step)) for i in range(2)]
            model(torch.randn(batch, 3), depth, views).backward()
            optimizer.step()

    found = record_example(program).get(InputSpreads)
    return {} if found is None else {each.name: each for each in found.inputs}


def test_a_number_everywhere_a_sample_each_time_and_what_differs() -> None:
    found = spreads(batch=3)
    assert (found["depth"].is_one_number, found["depth"].is_one_sample) == (True, True)
    assert (found["depth"].number, found["depth"].samples) == (0.5, 6)
    assert (found["rgb"].is_one_number, found["rgb"].is_one_sample) == (False, False)
    assert found["rgb"].shape == (3, 3)


def test_a_list_of_samples_is_compared_with_itself() -> None:
    (views,) = (each for name, each in spreads(batch=3).items() if name.startswith("views"))
    assert views.samples == 4
    assert not views.is_one_sample


def test_one_sample_says_nothing() -> None:
    assert "depth" not in spreads(batch=1, steps=1)
