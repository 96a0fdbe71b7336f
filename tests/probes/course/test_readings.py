"""Reads of options are noted with line and phase, and the namespace stays what it is."""

import argparse
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.readings import ConfigurationRead, Phase
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.readings import ReadingSampler


def parsed(words: str = "--dim 4") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dim", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--name", default="a")
    return parser.parse_args(words.split())


def step() -> None:
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def told(program: Callable[[], object]) -> list[ConfigurationRead]:
    lines: list[Line] = []
    pulse = Pulse([ReadingSampler], line=lines.append, every=1)
    with pulse:
        program()
    assert not pulse.run.faults
    happened = [each for line in lines for each in line.happened]
    return [each for each in happened if isinstance(each, ConfigurationRead)]


def test_each_read_is_kept_with_its_phase_and_its_line() -> None:
    def program() -> None:
        args = parsed()
        assert args.dim == 4
        step()
        assert args.dim + args.lr > 0
        with torch.no_grad():
            assert args.dim == 4

    (said,) = told(program)
    assert {(each.key, each.phase) for each in said.reads} == {
        ("dim", Phase.BUILD),
        ("dim", Phase.TRAINING),
        ("lr", Phase.TRAINING),
        ("dim", Phase.EVALUATION),
    }
    first = next(each.at for each in said.reads if each.phase is Phase.BUILD)
    assert first.file == __file__
    assert first.line == program.__code__.co_firstlineno + 2


def test_what_is_given_is_what_differs_from_its_default() -> None:
    (said,) = told(lambda: parsed("--dim 4 --lr 0.1").dim)
    assert said.given == ("dim",)
    assert said.keys == ("dim", "lr", "name")


def test_to_print_or_save_all_options_is_not_to_read_them() -> None:
    def program() -> None:
        args = parsed()
        print(args)  # noqa: T201
        json.dumps(vars(args))
        assert "dim" in args

    (said,) = told(program)
    assert said.handed_on is None
    assert not said.reads


def test_options_that_are_handed_on_as_a_whole_are_told_so() -> None:
    (said,) = told(lambda: dict(**vars(parsed())))
    assert said.handed_on is not None
    assert said.handed_on.file == __file__


def test_a_namespace_that_is_watched_is_what_it_was() -> None:
    def used(args: argparse.Namespace) -> list[Any]:
        again = copy.deepcopy(args)
        return [
            isinstance(args, argparse.Namespace) and type(args) is argparse.Namespace,
            vars(args),
            {**vars(args)},
            json.dumps(vars(args)),
            repr(args),
            args == again,
            pickle.loads(pickle.dumps(args)) == args,  # noqa: S301 - our own bytes
            getattr(args, "absent", "nothing"),
            hasattr(args, "dim"),
        ]

    expected = used(parsed())
    assert "__getattribute__" not in vars(argparse.Namespace)
    kept: list[Any] = []
    watched: list[argparse.Namespace] = []

    def program() -> None:
        watched.append(parsed())
        kept.extend(used(watched[0]))

    told(program)
    assert kept == expected
    assert "__getattribute__" not in vars(argparse.Namespace)
    assert watched[0].dim == 4


def test_a_namespace_is_not_kept_alive() -> None:
    import gc
    import weakref

    held: list[weakref.ref[argparse.Namespace]] = []
    told(lambda: held.append(weakref.ref(parsed())))
    gc.collect()
    assert held[0]() is None


def test_a_read_names_the_innermost_call_that_it_is_given_to() -> None:
    def program() -> None:
        args = parsed()
        max(  # on lines of its own
            float(args.dim),
            args.lr,
        )
        assert args.name == "a"

    (said,) = told(program)
    assert {each.key: each.into for each in said.reads} == {
        "dim": "float",
        "lr": "max",
        "name": "",
    }
    first = program.__code__.co_firstlineno
    assert {each.key: each.call_line - first for each in said.reads if each.into} == {
        "dim": 3,
        "lr": 2,
    }
