"""What is read of a configuration is noted, and it stays what it is: data classes, mappings."""

import argparse
import collections
import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from stepscope import watch_config
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.readings import ConfigurationRead, Phase
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.readings import ReadingSampler


@dataclasses.dataclass
class Optimiser:
    lr: float = 0.1
    weights: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Config:
    dim: int = 3
    name: str = "a"
    optimiser: Optimiser = dataclasses.field(default_factory=Optimiser)

    def doubled(self) -> int:
        return 2 * self.dim


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    dim: int = 3
    lr: float = 0.1


class Table(dict[str, Any]):
    """As many programs have one: items as attributes."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(name)


class Tables(collections.UserDict[str, Any]):
    pass


def table() -> Table:
    return Table(dim=4, lr=0.1, model=Table(depth=2, width=3), plain={"a": 1})


def told(program: Callable[[], object]) -> list[ConfigurationRead]:
    lines: list[Line] = []
    pulse = Pulse([ReadingSampler], line=lines.append, every=1)
    with pulse:
        program()
    assert not pulse.run.faults
    happened = [each for line in lines for each in line.happened]
    return [each for each in happened if isinstance(each, ConfigurationRead)]


def read(said: ConfigurationRead) -> set[str]:
    return {each.key for each in said.reads}


def step() -> None:
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_fields_of_data_classes_within_data_classes_are_read_by_dotted_names() -> None:
    def program() -> None:
        config = watch_config(Config(dim=5))
        assert config.doubled() == 10
        step()
        assert config.optimiser.lr == 0.1

    (said,) = told(program)
    assert {(each.key, each.phase) for each in said.reads} == {
        ("dim", Phase.BUILD),
        ("optimiser.lr", Phase.TRAINING),
    }
    assert set(said.keys) == {"dim", "name", "optimiser.lr", "optimiser.weights"}
    assert said.given == ("dim",)
    assert said.handed_on is None


def test_a_data_class_with_slots_is_heard_too() -> None:
    config = Slotted(lr=0.2)
    (said,) = told(lambda: watch_config(config).lr)
    assert read(said) == {"lr"}
    assert said.given == ("lr",)


def test_a_table_is_read_by_attribute_and_by_item_however_it_is_asked() -> None:
    def program() -> None:
        config = watch_config(table())
        assert config.dim == config["dim"] == config.get("dim") == 4
        assert config.model.depth == 2
        assert config.get("absent") is None

    (said,) = told(program)
    assert read(said) & set(said.keys) == {"dim", "model.depth"}
    assert set(said.keys) == {"dim", "lr", "model.depth", "model.width", "plain"}


def test_a_part_that_is_handed_on_counts_as_read_and_the_rest_does_not() -> None:
    ways: list[Callable[[Table], object]] = [
        lambda part: {**part},
        dict,
        lambda part: dict(**part),
        list,
        lambda part: sorted(part.items()),
        copy.copy,
        copy.deepcopy,
    ]
    for way in ways:
        (said,) = told(lambda way=way: way(watch_config(table()).model))  # type: ignore[misc]
        assert read(said) == {"model.depth", "model.width"}, way
        assert said.handed_on is None


def test_a_configuration_that_is_handed_on_as_a_whole_is_told_so_at_the_line() -> None:
    ways: list[Callable[[Any], object]] = [
        copy.deepcopy,
        lambda config: {**config},
        lambda config: [each for each in config.values()],  # noqa: C416 - as a program may
        lambda config: config | {},
    ]
    for way in ways:
        (said,) = told(lambda way=way: way(watch_config(table())))  # type: ignore[misc]
        assert said.handed_on is not None, way
        assert said.handed_on.file == __file__
    whole: list[Callable[[Any], object]] = [dataclasses.asdict, dataclasses.replace, vars]
    for way in whole:
        (said,) = told(lambda way=way: way(watch_config(Config())))  # type: ignore[misc]
        assert said.handed_on is not None, way


def test_to_print_or_save_a_configuration_is_not_to_read_it() -> None:
    def program() -> None:
        for config in (watch_config(table()), watch_config(Config())):
            print(config)  # noqa: T201
            repr(config)
            pickle.dumps(config)
            assert config != 3
        json.dumps(watch_config(table()))

    for said in told(program):
        assert said.handed_on is None
        assert not said.reads


def test_what_is_watched_is_what_it_was() -> None:
    def used(config: Any) -> list[Any]:
        again = copy.deepcopy(config)
        return [
            type(config),
            type(again),
            repr(config),
            config == again,
            pickle.loads(pickle.dumps(config)) == config,  # noqa: S301 - our own bytes
            hasattr(config, "dim"),
            hasattr(config, "absent"),
            isinstance(config, dict) and [json.dumps(config), list(config), {**config}],
            isinstance(config, dict) and [len(config), "dim" in config, config.pop("lr")],
            dataclasses.is_dataclass(config) and dataclasses.asdict(config),
        ]

    for make in (Config, Slotted, table, lambda: argparse.Namespace(dim=3)):
        attributes = set(vars(type(make())))
        expected = used(make())
        kept: list[Any] = []
        told(lambda make=make, kept=kept: kept.extend(used(watch_config(make()))))  # type: ignore[misc]
        assert kept == expected
        assert set(vars(type(make()))) == attributes


def test_a_mapping_written_in_python_is_heard() -> None:
    (said,) = told(lambda: watch_config(Tables(dim=3, lr=0.1))["dim"])
    assert read(said) == {"dim"}


def test_a_setting_that_is_added_later_and_never_read_is_among_the_keys() -> None:
    config = table()

    def program() -> None:
        watch_config(config).late = 1

    class Settable(Table):
        def __setattr__(self, name: str, value: Any) -> None:
            self[name] = value

    config = Settable(dim=4)
    (said,) = told(program)
    assert said.keys == ("dim", "late")


def test_a_table_without_an_attribute_raises_as_before() -> None:
    def program() -> None:
        config = watch_config(table())
        with pytest.raises(KeyError, match="absent"):
            config["absent"]

    told(program)


def test_nothing_is_heard_once_the_program_compiles() -> None:
    def program() -> None:
        config = watch_config(Config(dim=5))
        torch.compile(lambda x: x)
        assert "__getattribute__" not in vars(Config)
        assert config.dim == 5
        assert watch_config(Slotted()).dim == 3
        assert "__getattribute__" not in vars(Slotted)

    assert all("torch.compile" in said.unseen for said in told(program))


def test_other_instances_of_the_class_are_none_of_it() -> None:
    def program() -> None:
        watch_config(Config())
        assert Config().dim == 3

    (said,) = told(program)
    assert not said.reads
