"""What a configuration holds is read as it stands, whatever it holds."""

import argparse
from typing import Any

from stepscope.evidence.course.readings import DeclaredModule
from stepscope.probes.configurations.contents import (
    can_tell,
    content,
    declared_modules,
    judged,
    leaves,
)


class Table(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise AssertionError(f"{key} was asked for")

    def items(self) -> Any:
        raise AssertionError("all were asked for")


def test_a_table_is_looked_through_without_being_asked() -> None:
    table = Table(a=1, b=Table(c=[2, 3], d=Table()))
    assert leaves(table) == {"a": 1, "b.c": [2, 3]}
    assert leaves(argparse.Namespace(x=1, y=table)) == {"x": 1, "y.a": 1, "y.b.c": [2, 3]}


def test_a_plain_dictionary_within_a_table_is_one_setting() -> None:
    assert leaves(Table(a={"b": 1})) == {"a": {"b": 1}}
    assert not can_tell(dict)
    assert can_tell(Table)


def test_what_is_not_keyed_by_texts_is_no_table() -> None:
    assert content({1: "a"}) is None
    assert content([1]) is None
    assert content("text") is None


def test_a_table_that_holds_itself_ends() -> None:
    table = Table(a=1, type="Loop")
    table.update(again=table)
    assert leaves(table)["a"] == 1
    assert len(declared_modules(table)) <= 4096


def test_settings_that_others_refer_to_are_not_judged() -> None:
    found = {"a.dim": 4, "a.out": "${a.dim}", "b.size": 3, "b.twice": "${mul:${.size},2}"}
    assert judged(found) == {"a.out", "b.twice"}


def test_tables_that_name_a_class_are_found_with_what_is_around_them() -> None:
    table = {
        "type": "Whole",
        "model": {"type": "Detector", "norm": {"name": "BN"}, "blocks": [{"inner": {"type": "B"}}]},
        "loss": {"_target_": "losses.nce.InfoNCE", "_partial_": True},
        "size": {"type": 3},
    }
    assert declared_modules(table) == (
        DeclaredModule(key="model", kind="Detector", within="Whole"),
        DeclaredModule(key="model.blocks[0].inner", kind="B", within="Detector"),
        DeclaredModule(key="loss", kind="InfoNCE", within="Whole", by_path=True),
    )
