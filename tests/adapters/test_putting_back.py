"""What the program has put in our places while it was observed stays there, and still works."""

import multiprocessing.process
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stepscope.adapters.children import Children
from stepscope.adapters.leaving import Exit, RecordingEnded
from stepscope.adapters.ways_out import WaysOut
from stepscope.core import Evidence

KINDS: tuple[type[Evidence], ...] = ()


class LeftError(Exception):
    pass


def leave(*_: object) -> None:
    raise LeftError


def over(inner: Callable[..., Any]) -> Callable[..., Any]:
    def own(*args: Any) -> Any:
        return inner(*args)

    return own


def unreachable(error: str) -> None:
    raise AssertionError(error)


def test_a_way_out_is_restored_where_nobody_else_took_it() -> None:
    before = os._exit
    ways = WaysOut(unreachable)  # type: ignore[arg-type]
    ways.watch()
    assert os._exit is not before
    ways.over()
    assert os._exit is before


def test_a_way_out_that_the_program_patched_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "_exit", leave)
    ways = WaysOut(unreachable)  # type: ignore[arg-type]
    ways.watch()
    inner = os._exit
    monkeypatch.setattr(os, "_exit", own := over(inner))
    ways.over()
    assert os._exit is own
    with pytest.raises(LeftError):
        os._exit(0)


def test_the_end_is_insisted_on_no_more_through_a_patch_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.nn.Module._call_impl
    monkeypatch.setattr(torch.nn.Module, "_call_impl", before)
    end = Exit(lambda: unreachable("given up"))  # type: ignore[arg-type, return-value]
    with pytest.raises(RecordingEnded):
        end.now()
    inner = torch.nn.Module._call_impl
    monkeypatch.setattr(torch.nn.Module, "_call_impl", own := over(inner))
    end.over()
    assert torch.nn.Module._call_impl is own
    assert torch.nn.Linear(2, 3)(torch.ones(1, 2)).shape == (1, 3)


def test_the_start_of_processes_is_left_to_the_program_that_patched_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = multiprocessing.process.BaseProcess
    started: list[object] = []
    monkeypatch.setattr(process, "start", started.append)
    children = Children(3)
    children.watch()
    inner = process.start
    monkeypatch.setattr(process, "start", own := over(inner))
    assert children.recordings(KINDS) == ()
    assert process.start is own
    child = multiprocessing.get_context("spawn").Process(target=unreachable)
    child.start()
    assert started == [child]
    assert vars(child)["_target"] is unreachable
