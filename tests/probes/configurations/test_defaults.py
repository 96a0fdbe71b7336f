"""What differs from a default, or from what was before, was given."""

import argparse
import dataclasses

from stepscope.probes.configurations.defaults import (
    changed_fields,
    changed_leaves,
    changed_options,
)


@dataclasses.dataclass
class Inner:
    rate: float = 0.1


@dataclasses.dataclass
class Config:
    needed: int
    name: str = "a"
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = dataclasses.field(default_factory=Inner)


def test_fields_are_compared_with_their_own_defaults() -> None:
    assert not list(changed_fields(Config(3)))
    assert list(changed_fields(Config(3, "b", (1, 2)))) == ["name"]
    assert list(changed_fields(Config(3, sizes=(2, 1)))) == ["sizes"]
    assert list(changed_fields(Config(3, inner=Inner(0.2)))) == ["inner.rate"]
    assert not list(changed_fields({"name": "b"}))


def test_options_equal_their_default_as_text_or_as_list() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default="0.1")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--name")
    for words, given in (("", []), ("--sizes 1 2", []), ("--sizes 2", ["sizes"])):
        assert changed_options(parser, vars(parser.parse_args(words.split()))) == given
    assert changed_options(parser, {"lr": 0.2, "sizes": [1, 2], "name": "b"}) == ["lr", "name"]


def test_what_is_new_or_another_than_before_has_changed() -> None:
    before = {"a": 1, "b": [1], "c": None}
    assert not changed_leaves(before, {"a": 1, "b": [1], "c": None})
    assert changed_leaves(before, {"a": 2, "b": [1, 2], "c": None, "d": 0}) == ["a", "b", "d"]
