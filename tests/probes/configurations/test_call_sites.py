"""A read names the innermost call that it is an argument of, by attribute or by item."""

from types import CodeType
from typing import Any

from stepscope.evidence.course.readings import Phase
from stepscope.probes.configurations.call_sites import read_at


def program(config: Any) -> None:
    print(max(config.model.dim, 3))  # noqa: T201
    print(config["model"]["dim"])  # noqa: T201
    print(config["dim"], end=config.end)  # noqa: T201
    config.dim += 1


CODE: CodeType = program.__code__


def into(key: str, line: int) -> str:
    return read_at(key, Phase.BUILD, CODE, CODE.co_firstlineno + line).into


def test_attributes_and_items_are_arguments_alike() -> None:
    assert into("model.dim", 1) == "max"
    assert into("model.dim", 2) == "print"
    assert into("dim", 3) == "print"
    assert into("end", 3) == "print"


def test_what_is_no_argument_has_no_call() -> None:
    assert not into("dim", 4)
    assert not into("lr", 1)
