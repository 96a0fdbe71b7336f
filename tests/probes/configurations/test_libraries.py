"""What OmegaConf, Hydra, yacs and MMEngine load is found, heard, and stays what it is."""

import copy
import pickle
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.readings import ConfigurationRead, DeclaredModule
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.readings import ReadingSampler

pytestmark = pytest.mark.corpus


def told(program: Callable[[], object]) -> list[ConfigurationRead]:
    lines: list[Line] = []
    pulse = Pulse([ReadingSampler], line=lines.append, every=1)
    with pulse:
        program()
    assert not pulse.run.faults
    happened = [each for line in lines for each in line.happened]
    return [each for each in happened if isinstance(each, ConfigurationRead)]


def read(said: ConfigurationRead) -> set[str]:
    return {each.key for each in said.reads} & set(said.keys)


def test_what_is_merged_over_a_base_is_given_and_what_others_refer_to_is_not_judged() -> None:
    omegaconf = pytest.importorskip("omegaconf").OmegaConf

    def program() -> None:
        base = omegaconf.create(
            {"model": {"dim": 4, "out": "${model.dim}", "fusion": False}, "lr": 0.1, "tags": [1]}
        )
        changes = omegaconf.from_dotlist(["model.fusion=true", "lr=0.1"])
        config = omegaconf.merge(base, changes)
        print(omegaconf.to_yaml(config), config)  # noqa: T201
        assert config.model.out == 4
        assert omegaconf.select(config, "tags")[0] == 1

    base, changes, merged = told(program)
    assert base.handed_on is not None
    assert changes.handed_on is not None
    assert merged.kind == "omegaconf.DictConfig"
    assert merged.handed_on is None
    assert merged.given == merged.switches == ("model.fusion",)
    assert set(merged.keys) == {"model.out", "model.fusion", "lr", "tags"}
    assert read(merged) == {"model.out", "tags"}
    assert merged.at.file == __file__


def test_of_a_dict_config_a_part_that_is_unpacked_or_copied_is_read() -> None:
    omegaconf = pytest.importorskip("omegaconf").OmegaConf
    ways: list[Callable[[Any], object]] = [
        lambda part: dict(**part),
        lambda part: omegaconf.to_container(part, resolve=True),
        copy.deepcopy,
        lambda part: part.copy(),
        lambda part: [value for _, value in part.items()],
    ]
    for way in ways:

        def program(way: Callable[[Any], object] = way) -> None:
            config = omegaconf.create({"model": {"dim": 4, "deep": {"x": 1}}, "lr": 0.1})
            way(config.model)

        (said,) = [each for each in told(program) if "lr" in each.keys]
        assert read(said) == {"model.dim", "model.deep.x"}, way
        assert said.handed_on is None


def test_a_dict_config_that_is_heard_is_what_it_was() -> None:
    omegaconf = pytest.importorskip("omegaconf").OmegaConf

    def used() -> list[Any]:
        config = omegaconf.create({"a": {"b": 1, "c": "${a.b}"}, "d": [1, {"e": 2}]})
        return [
            type(config),
            omegaconf.is_config(config),
            config == copy.deepcopy(config),
            pickle.loads(pickle.dumps(config)) == config,  # noqa: S301 - our own bytes
            omegaconf.to_yaml(config),
            list(config),
            {**config.a},
            "a" in config,
            config.get("x", 5),
            hasattr(config, "x"),
            config.a.c,
            config.d[1].e,
            config.pop("d"),
            repr(config),
        ]

    expected = used()
    kept: list[Any] = []
    told(lambda: kept.extend(used()))
    assert kept == expected


def test_what_hydra_hands_to_main_is_found_with_what_its_command_line_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("hydra")
    for name in [each for each in sys.modules if each.split(".")[0] == "hydra"]:
        monkeypatch.delitem(sys.modules, name)  # the run sees it imported, as under `stepscope run`
    script = tmp_path / "train.py"
    script.write_text(
        "import hydra\n"
        "from hydra.core.config_store import ConfigStore\n"
        "ConfigStore.instance().store('tested', {'lr': 0.1, 'dim': 4, 'weight': 1.0})\n"
        "@hydra.main(version_base=None, config_path=None, config_name='tested')\n"
        "def main(config):\n"
        "    assert config.dim == 4\n"
        "main()\n"
    )
    line = ["train.py", "weight=0.5", f"hydra.run.dir={tmp_path}", "hydra.output_subdir=null"]
    monkeypatch.setattr(sys, "argv", line)
    (said,) = told(lambda: runpy.run_path(str(script), run_name="__main__"))  # not Hydra's parser
    assert said.keys == ("dim", "lr", "weight")
    assert said.given == ("weight",)
    assert read(said) == {"dim"}
    assert (said.at.file, said.at.line) == (str(script), 4)


def test_a_clone_of_yacs_is_found_with_what_is_merged_into_it() -> None:
    node = pytest.importorskip("yacs.config").CfgNode

    def program() -> None:
        defaults = node({"MODEL": {"DIM": 4, "FUSION": False}, "LR": 0.1, "SIZES": [1, 2]})
        config = defaults.clone()
        config.merge_from_list(["MODEL.FUSION", True, "SIZES", [1, 2]])
        config.freeze()
        print(config)  # noqa: T201
        assert config.MODEL.DIM == 4
        assert dict(config.MODEL) == {**config.MODEL}

    (said,) = told(program)
    assert said.kind == "yacs.CfgNode"
    assert said.keys == ("LR", "MODEL.DIM", "MODEL.FUSION", "SIZES")
    assert said.given == ("MODEL.FUSION",)
    assert read(said) == {"MODEL.DIM", "MODEL.FUSION"}
    assert said.handed_on is None


def test_a_config_of_mmengine_is_found_with_its_modules(tmp_path: Path) -> None:
    configuration = pytest.importorskip("mmengine.config").Config
    file = tmp_path / "config.py"
    file.write_text(
        "dim = 4\n"
        "model = dict(type='Detector', dim=dim, heads=[dict(type='mmdet.Head', n=2)])\n"
        "lr = 0.1\nwork_dir = 'out'\n"
    )

    def program() -> None:
        config = configuration.fromfile(file)
        config.merge_from_dict({"lr": 0.2, "model.dim": 4})
        assert config.pretty_text
        assert config.lr == config["lr"] == config.get("lr") == 0.2
        assert config.model.type == "Detector"

    (said,) = told(program)
    assert said.kind == "mmengine.Config"
    assert said.keys == ("dim", "lr", "model.dim", "model.heads", "model.type", "work_dir")
    assert said.given == ("lr",)
    assert read(said) == {"lr", "model.type"}
    assert said.modules == (
        DeclaredModule(key="model", kind="Detector"),
        DeclaredModule(key="model.heads[0]", kind="Head", within="Detector"),
    )


def test_a_config_that_the_runner_copies_is_handed_on_and_the_copy_is_none_of_ours() -> None:
    configuration = pytest.importorskip("mmengine.config").Config

    def program() -> None:
        config = configuration({"lr": 0.1, "dim": 3})
        again = copy.deepcopy(config)
        assert again.lr == 0.1

    (said,) = told(program)
    assert said.handed_on is not None
    assert not said.reads


def test_a_config_of_mmengine_that_is_heard_is_what_it_was() -> None:
    configuration = pytest.importorskip("mmengine.config").Config

    def used() -> list[Any]:
        config = configuration({"a": {"b": 1}, "d": [1, {"e": 2}]})
        return [
            type(config),
            type(config.a),
            isinstance(config.a, dict),
            config.pretty_text,
            config.to_dict(),
            list(config),
            {**config.a},
            config.a == {"b": 1},
            pickle.loads(pickle.dumps(config)).to_dict(),  # noqa: S301 - our own bytes
            copy.deepcopy(config).to_dict(),
            config.get("x", 5),
            hasattr(config, "x"),
            config.d[1].e,
        ]

    expected = used()
    kept: list[Any] = []
    told(lambda: kept.extend(used()))
    assert kept == expected
