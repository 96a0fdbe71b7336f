"""Numbers become lines in the order of their steps, however late they arrive."""

import math
from typing import Self

import pytest
import torch

from stepscope.evidence.course.line import Happening, Line
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.readback import Readback


class Turned(Happening, frozen=True, kw_only=True):
    """Something."""


def test_a_step_of_which_nothing_is_known_has_no_line() -> None:
    lines: list[Line] = []
    notes = Notes(lines.append)
    notes.close(1)
    notes.number("loss", "total", 2.0)
    notes.close(2)
    notes.end(2)
    assert [(line.step, line.numbers) for line in lines] == [(1, {"loss": {"total": 2.0}})]


def test_the_last_value_of_a_name_counts_and_a_tensor_is_read_before_it_changes() -> None:
    lines: list[Line] = []
    notes = Notes(lines.append)
    value = torch.tensor([3.0], requires_grad=True)
    notes.number("loss", "total", 7.0)
    notes.number("loss", "total", value)
    notes.number("loss", "box", math.nan)
    with torch.no_grad():
        value.zero_()
    notes.close(1)
    (line,) = lines
    assert line.numbers["loss"]["total"] == 3.0
    assert math.isnan(line.numbers["loss"]["box"])
    assert isinstance(line.numbers["loss"]["total"], float)


def test_happenings_are_heard_at_once_and_written_with_their_step() -> None:
    lines: list[Line] = []
    heard: list[Happening] = []
    notes = Notes(lines.append, heard.append)
    notes.happen(Turned())
    assert heard == [Turned()]
    assert lines == []
    notes.close(1)
    assert [(line.step, line.happened) for line in lines] == [(0, (Turned(),))]


class Arriving:
    """An event of a device, in the place of torch's: copies have arrived when the test says so."""

    has_come = False

    def __init__(self, device: torch.device) -> None:
        assert device.type == "meta"

    def record(self) -> None: ...

    def query(self) -> bool:
        return self.has_come

    def synchronize(self) -> None:
        type(self).has_come = True


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> type[Arriving]:
    """Let numbers of the meta device be copied as if they were twos."""

    class Fresh(Arriving): ...

    class Twos(torch.Tensor):
        def to(self, *_: object, **__: object) -> Self:  # type: ignore[override]
            return torch.full(self.shape, 2.0, dtype=torch.float64)  # type: ignore[return-value]

    stack = torch.stack
    monkeypatch.setattr(torch, "Event", Fresh)
    monkeypatch.setattr(torch, "stack", lambda tensors: stack(tensors).as_subclass(Twos))
    return Fresh


def test_lines_wait_for_a_device_in_their_order(far: type[Arriving]) -> None:
    lines: list[Line] = []
    notes = Notes(lines.append)
    notes.number("loss", "total", torch.ones((), device="meta"))
    notes.number("rate", "0.0", 0.5)
    notes.close(1)
    notes.number("loss", "total", 1.0)
    notes.close(2)
    assert lines == []
    far.has_come = True
    notes.close(3)
    assert [line.numbers for line in lines] == [
        {"loss": {"total": 2.0}, "rate": {"0.0": 0.5}},
        {"loss": {"total": 1.0}},
    ]


def test_the_end_waits_for_what_is_on_its_way(far: type[Arriving]) -> None:
    lines: list[Line] = []
    notes = Notes(lines.append)
    notes.number("loss", "total", torch.ones((), device="meta"))
    notes.end(1)
    assert [line.numbers for line in lines] == [{"loss": {"total": 2.0}}]


def test_numbers_of_one_device_are_one_copy(far: type[Arriving]) -> None:
    numbers = [torch.ones((), device="meta", dtype=torch.float64) for _ in range(5)]
    read = Readback(numbers)
    assert len(read._copies) == len(read._events) == 1
    assert read.values(wait=False) is None
    assert read.values(wait=True) == [2.0] * 5
