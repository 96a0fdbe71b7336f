"""A branch is what sees one input only, and its samples are compared bit for bit."""

import torch

from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.probes.branches import BranchesProbe
from stepscope.probes.observation import Observation
from stepscope.probes.value_tracing.tracing import ValueTracing


class Fusion(torch.nn.Module):
    """Two streams of two layers, a layer that both share, and one on what is joined."""

    def __init__(self) -> None:
        super().__init__()
        self.visible = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
        self.thermal = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 4))
        self.shared = torch.nn.Linear(4, 4)
        self.head = torch.nn.Linear(8, 1)

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
        both = self.shared(self.visible(visible)), self.shared(self.thermal(thermal))
        result: torch.Tensor = self.head(torch.cat(both, dim=-1))
        return result


def branches(model: Fusion, thermal: torch.Tensor) -> dict[str, Branch]:
    observation = Observation([ValueTracing, BranchesProbe], steps=2)
    with observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(3, 4), thermal).sum().backward()
            optimizer.step()
    seen = (each for each in observation.evidence if isinstance(each, ModalityBranches))
    return {branch.input: branch for each in seen for branch in each.branches}


def test_a_branch_ends_where_another_input_comes_by() -> None:
    found = branches(Fusion(), torch.randn(3, 4))
    assert found["visible"].modules == ("visible",)
    assert (found["visible"].first, found["thermal"].first) == ("visible.0", "thermal.1")
    assert found["thermal"].has("thermal.1.bias")
    assert not found["thermal"].has("shared.bias")


def test_an_output_that_moves_in_the_second_step_is_not_the_same() -> None:
    model = Fusion()
    torch.nn.init.zeros_(model.thermal[1].weight)
    moving = branches(model, torch.rand(3, 4))["thermal"]
    assert (moving.samples, moving.is_same) == (6, False)


def test_a_frozen_branch_has_no_first_trained_module() -> None:
    model = Fusion()
    torch.nn.init.zeros_(model.thermal[1].weight)
    model.thermal.requires_grad_(False)
    frozen = branches(model, torch.rand(3, 4))["thermal"]
    assert (frozen.samples, frozen.is_same, frozen.is_zero, frozen.first) == (6, True, False, "")


def test_one_output_for_all_samples_is_told_with_zeros_apart() -> None:
    model = Fusion()
    model.visible[0].bias.data.fill_(-100.0)
    dead = branches(model, torch.rand(3, 4))["visible"]
    assert (dead.samples, dead.is_same, dead.is_zero, dead.last) == (6, True, True, "visible")


def test_where_the_input_is_one_sample_nothing_is_told_of_the_output() -> None:
    alike = branches(Fusion(), torch.ones(3, 4))["thermal"]
    assert (alike.samples, alike.is_same) == (0, False)


def test_a_model_of_one_input_has_no_branches() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    with Observation([ValueTracing, BranchesProbe], steps=1) as observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
    assert not any(isinstance(each, ModalityBranches) for each in observation.evidence)


def test_without_a_declaration_two_inputs_must_look_like_images() -> None:
    flat, image = (
        Branch(
            input=name, dimensions=dimensions, modules=(name,), first=name, last=name,
            samples=0, is_same=False, is_zero=False,
        )
        for name, dimensions in (("flat", 2), ("image", 4))
    )  # fmt: skip
    assert ModalityBranches(branches=(image,)).of(()) == ()
    assert ModalityBranches(branches=(flat, image)).of(()) == (image,)
    assert ModalityBranches(branches=(flat, image)).of(("f*",)) == (flat,)
