"""A configuration that is handed over is taken by the present run, or by the next one."""

import dataclasses
import gc
import types
import weakref
from typing import Any

import pytest

from stepscope import watch_config
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.readings import ConfigurationRead, DeclaredModule
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.readings import ReadingSampler


@dataclasses.dataclass
class Config:
    dim: int = 3


def watched(lines: list[Line]) -> Pulse:
    return Pulse([ReadingSampler], line=lines.append, every=1)


def said(lines: list[Line]) -> list[ConfigurationRead]:
    happened = [each for line in lines for each in line.happened]
    return [each for each in happened if isinstance(each, ConfigurationRead)]


def test_it_is_returned_as_it_is() -> None:
    config = Config()
    assert watch_config(config) is config


def test_without_a_run_its_class_is_left_alone() -> None:
    watch_config(Config())
    assert "__getattribute__" not in vars(Config)


def test_one_from_before_the_run_is_taken_along_and_told_to_be_half_seen() -> None:
    config = watch_config(Config())
    lines: list[Line] = []
    with watched(lines):
        assert config.dim == 3
    (one,) = [each for each in said(lines) if each.kind.endswith("test_handed.Config")]
    assert "before the watching began" in one.unseen
    assert [each.key for each in one.reads] == ["dim"]
    assert one.at.file == __file__


def test_one_that_waits_for_a_run_is_not_kept_alive() -> None:
    held = weakref.ref(watch_config(Config()))
    gc.collect()
    assert held() is None


def test_a_plain_dictionary_tells_its_modules_and_not_its_reads() -> None:
    lines: list[Line] = []
    table: dict[str, Any] = {
        "model": {"type": "Detector", "heads": [{"type": "mmdet.Head"}, {"type": dict}]},
        "teacher": {"_target_": "models.nets.Teacher", "type": 3},
    }
    with watched(lines):
        watch_config(table)
    (one,) = said(lines)
    assert "plain dictionary" in one.unseen
    assert one.modules == (
        DeclaredModule(key="model", kind="Detector"),
        DeclaredModule(key="model.heads[0]", kind="Head", within="Detector"),
        DeclaredModule(key="model.heads[1]", kind="dict", within="Detector"),
        DeclaredModule(key="teacher", kind="Teacher", by_path=True),
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("lr=0.1", "'lr=0.1'"),
        (None, "None"),
        (Config, "the class Config"),
        (types.SimpleNamespace(dim=3), "namespace(dim=3)"),
        ({1: "a"}, "{1: 'a'}"),
    ],
)
def test_what_is_no_configuration_is_refused_by_name(given: object, named: str) -> None:
    with pytest.raises(TypeError) as refused:
        watch_config(given)
    assert named in str(refused.value)
    assert "expected a Namespace" in str(refused.value)
