"""Warnings of torch are shown at the same line, and as often, as without us."""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stepscope.probes.observation import Observation
from stepscope.session import every_probe

Shown = list[tuple[str, int, str]]


def implicit_dimension(x: Tensor) -> None:
    functional.softmax(x)


def implicit_dimension_in_a_module(x: Tensor) -> None:
    nn.Softmax()(x)


def sizes_that_differ(x: Tensor) -> None:
    functional.mse_loss(x, x[:, :1])


def from_cpp(x: Tensor) -> None:
    torch.add(x, 1, out=torch.ones(7))


def from_cpp_twice(x: Tensor) -> None:
    for _ in range(2):
        torch.add(x, 2, out=torch.ones(7))
    torch.add(x, 2, out=torch.ones(7))


def by_the_program(_: Tensor) -> None:
    warnings.warn("own", UserWarning, stacklevel=1)
    warnings.warn("caller", UserWarning, stacklevel=2)


PROGRAMS = [
    implicit_dimension, implicit_dimension_in_a_module, sizes_that_differ, from_cpp,
    from_cpp_twice, by_the_program,
]  # fmt: skip


def shown(program: Callable[[Tensor], None]) -> Shown:
    globals().pop("__warningregistry__", None)
    model = nn.Linear(2, 2)
    torch.optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        program(model(torch.ones(3, 2)).detach())
    return [(each.filename, each.lineno, str(each.message)[:40]) for each in caught]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    functional.__dict__.pop("__warningregistry__", None)
    nn.Module.__init__.__globals__.pop("__warningregistry__", None)
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_warning_is_shown_where_it_would_be_without_us(
    program: Callable[[Tensor], None],
) -> None:
    plain = shown(program)
    functional.__dict__.pop("__warningregistry__", None)
    nn.Module.__init__.__globals__.pop("__warningregistry__", None)
    with Observation(every_probe(), steps=3) as observation:
        observed = shown(program)
    assert not observation.run.faults
    assert plain
    assert observed == plain


def test_warnings_are_as_they_were_afterwards() -> None:
    warn, show = warnings.warn, warnings._showwarnmsg
    with Observation(every_probe(), steps=3):
        assert warnings.warn is not warn
    assert warnings.warn is warn
    assert warnings._showwarnmsg is show
