"""Outermost calls are heard while they are asked for, whatever leaves a forward."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from stepscope.probes.course.calls import OutermostCalls


class Gate(nn.Module):
    """Calls a layer, and raises what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.raises: BaseException | None = None

    def forward(self, x: Tensor, *, scale: Tensor | None = None) -> Tensor:
        if self.raises is not None:
            raise self.raises
        y: Tensor = self.layer(x)
        return y if scale is None else y * scale


class Outer(nn.Module):
    """Swallows what its gate raises."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    def forward(self, x: Tensor) -> Tensor:
        try:
            y: Tensor = self.gate(x, scale=x)
        except BaseException:  # noqa: BLE001 - as programs do
            return x
        return y


class Heard:
    """What was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, nn.Module]] = []
        self.given: list[tuple[object, ...]] = []
        self.calls = OutermostCalls(
            lambda: False,
            returned=lambda module, _: self.told.append(("returned", module)),
            raised=self._raised,
            recovered=lambda module: self.told.append(("recovered", module)),
        )

    def _raised(self, module: nn.Module, given: tuple[object, ...], _: Exception) -> None:
        self.told.append(("raised", module))
        self.given.append(given)


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    heard.calls.turn_on()
    yield heard
    heard.calls.turn_off()


X = torch.ones(1, 2)


def test_only_the_outermost_call_is_told(heard: Heard) -> None:
    outer = Outer()
    outer(X)
    outer.gate(X)
    assert heard.told == [("returned", outer), ("returned", outer.gate)]


def test_an_exception_is_told_with_all_that_was_given_and_the_next_success_too(
    heard: Heard,
) -> None:
    outer = Outer()
    outer.gate.raises = ValueError()
    outer(X)
    outer.gate.raises = None
    outer(X)
    gate = outer.gate
    assert heard.told == [
        ("raised", gate),
        ("returned", outer),
        ("recovered", gate),
        ("returned", outer),
    ]
    assert all(each is X for each in heard.given[0])
    assert len(heard.given[0]) == 2


def test_a_call_while_an_exception_is_handled_has_not_raised_it(heard: Heard) -> None:
    gate = Gate()
    try:
        {}["missing"]
    except KeyError:
        gate(X)
    assert heard.told == [("returned", gate)]


def test_an_interruption_that_is_swallowed_hides_no_later_call(heard: Heard) -> None:
    outer = Outer()
    outer.gate.raises = KeyboardInterrupt()
    outer(X)
    outer(X)
    assert heard.told == [("returned", outer)] * 2


def test_other_threads_are_not_heard(heard: Heard) -> None:
    thread = threading.Thread(target=Gate(), args=(X,))
    thread.start()
    thread.join()
    assert heard.told == []


def test_nothing_is_heard_when_it_is_turned_off(heard: Heard) -> None:
    heard.calls.turn_off()
    Gate()(X)
    assert heard.told == []
    assert not heard.calls.are_heard
