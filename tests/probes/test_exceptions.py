"""An exception is swallowed when the program goes on after it left a forward."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stepscope.evidence.losses import SwallowedException, SwallowedExceptions
from stepscope.probes.exceptions import ExceptionsProbe
from stepscope.probes.observation import Observation


class Breaks(nn.Module):
    """Raises where its input is negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() < 0:
            raise KeyError("no pairs")
        return x


class Around(nn.Module):
    """Holds a module, with or without an except around its call."""

    def __init__(self, *, catches: bool) -> None:
        super().__init__()
        self.inner = Breaks()
        self.layer = nn.Linear(1, 1)
        self.catches = catches

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.catches:
            return self.layer(self.inner(x))
        try:
            x = self.inner(x)
        except (ValueError, LookupError):  # caught here
            x = x * 2
        return self.layer(x)


def observation() -> Observation:
    return Observation([ExceptionsProbe], steps=10)


def swallowed(done: Observation) -> tuple[SwallowedException, ...]:
    assert not done.run.faults
    (evidence,) = (each for each in done.evidence if isinstance(each, SwallowedExceptions))
    return evidence.exceptions


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_the_innermost_module_and_both_lines_are_named() -> None:
    model = Around(catches=True)
    with observation() as done:
        for sign in (-1, 1, -1):
            model(torch.full((2, 1), float(sign))).sum().backward()
            torch.optim.SGD(model.parameters(), lr=0.1).step()
    (found,) = swallowed(done)
    assert found.module.endswith("inner")
    assert found.kind == "KeyError"
    assert found.steps == (0, 2)
    assert found.raised_at.line == line_of("raise KeyError")
    assert found.caught_at is not None
    assert found.caught_at.line == line_of("# caught here")
    assert not found.retried


def test_an_exception_that_ends_the_program_is_not_swallowed() -> None:
    done = observation()
    with pytest.raises(KeyError), done:
        Around(catches=False)(-torch.ones(2, 1))
    assert swallowed(done) == ()


def test_an_exception_that_passes_two_modules_counts_once() -> None:
    model = Around(catches=False)
    with observation() as done:
        with pytest.raises(KeyError):
            model(-torch.ones(2, 1))
        model.layer(torch.ones(2, 1))
    (found,) = swallowed(done)
    assert found.module.endswith("inner")


def test_an_exception_raised_in_answer_to_another_is_the_same() -> None:
    class Translates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Breaks()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return self.inner(x)
            except KeyError as error:
                raise RuntimeError from error

    model = Translates()
    with observation() as done:
        with pytest.raises(RuntimeError):
            model(-torch.ones(1))
        model(torch.ones(1))
    (found,) = swallowed(done)
    assert found.kind == "KeyError"


def test_a_retry_on_the_same_module_is_told_apart() -> None:
    model = Breaks()
    with observation() as done:
        with pytest.raises(KeyError):
            model(-torch.ones(1))
        model(torch.ones(1))
    (found,) = swallowed(done)
    assert found.retried


def test_a_handler_that_raises_again_did_not_take_it() -> None:
    model = Breaks()

    def log_and_raise() -> None:
        try:
            model(-torch.ones(1))
        except KeyError:
            print("logged")  # noqa: T201 - as such programs do
            raise

    with observation() as done:
        try:  # noqa: SIM105 - the handler is what is looked for
            log_and_raise()
        except KeyError:  # the second handler
            pass
        nn.Linear(1, 1)(torch.ones(1, 1))
    (found,) = swallowed(done)
    assert found.caught_at is not None
    assert found.caught_at.line == line_of("# the second handler")
