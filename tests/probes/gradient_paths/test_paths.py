"""What reaches the loss is known, and looking for it leaves nothing behind."""

import torch
from torch import Tensor, nn

from stepscope.session import record_example
from tests.probes.gradient_paths.networks import (
    STEPS,
    observe,
    program,
)


def test_a_parameter_reached_in_any_step_is_not_dead() -> None:
    def run(_: object) -> None:
        layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
        for step in range(2):
            optimizer.zero_grad()
            layers[step](torch.randn(2, 4)).sum().backward()
            optimizer.step()

    assert observe(run)[0].unreached == ("2.weight", "2.bias")


def test_a_lookup_inside_the_mode_stack_of_the_program_is_left_in_place() -> None:
    depth = torch._C._len_torch_function_stack()
    with torch.device("cpu"):
        record_example(program())
        assert torch._C._len_torch_function_stack() == depth + 1
    assert torch._C._len_torch_function_stack() == depth


def test_values_are_let_go_with_their_tensors() -> None:
    from stepscope.probes import values

    record_example(program())
    assert values._table.held == {}


def test_tensors_are_saved_and_copied_without_a_trace() -> None:
    kept: dict[str, object] = {}

    def run(_: object) -> None:
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        out = model(torch.ones(1, 2))
        out.sum().backward()
        kept.update(vars(out.detach()), **vars(out), **vars(model.weight))
        optimizer.step()

    record_example(run)
    assert kept == {}


class Brighter(nn.Module):
    """An augmentation: a module without parameters, called before the model."""

    def forward(self, image: Tensor) -> Tensor:
        return image * 1.1


def test_what_an_augmentation_made_is_an_input_of_the_model() -> None:
    class Scorer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, visible: list[Tensor], infrared: list[Tensor]) -> Tensor:
            return self.layer(torch.stack(visible)).mean() + 0 * len(infrared)

    def program(_: object) -> None:
        model, brighter = Scorer(), Brighter()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            visible, infrared = ([brighter(torch.rand(3, 8))] for _ in range(2))
            model(visible, infrared).backward()
            optimizer.step()
            optimizer.zero_grad()

    found, _ = observe(program)
    assert {each.name: each.reaches_loss for each in found.inputs} == {
        "visible": True,
        "infrared": False,
    }
