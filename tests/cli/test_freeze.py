"""`stepscope freeze PLAN`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stepscope.cli import app

MODEL = "bench.faults.sensor_fusion.cmt:CMT"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text('frozen = ["img_backbone"]\ntuned = { img_neck = 0.1 }')
    return path


def test_the_table_shows_the_rates_that_take_effect(plan: Path) -> None:
    arguments = ["freeze", str(plan), "--model", MODEL, "--lr", "1e-3", "--format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    parts = {each["module"]: each for each in json.loads(result.stdout)["parts"]}
    assert parts["img_backbone"]["state"] == "frozen"
    assert parts["img_backbone"]["elements"] == 3 * 16 * 9 + 32 + 16 * 32 * 9 + 64
    assert parts["img_backbone"]["norms"] == "eval"
    assert parts["img_neck"]["lrs"] == pytest.approx([1e-4])
    assert parts["pts_neck"]["lrs"] == [1e-3]


def test_the_text_ends_with_the_totals(plan: Path) -> None:
    result = CliRunner().invoke(app, ["freeze", str(plan), "--model", MODEL])
    assert result.stdout.endswith("45,461 elements: 40,325 trained, 5,136 frozen\n")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("bench.faults.sensor_fusion.cmt", "expected MODULE:FUNCTION"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("bench.faults.sensor_fusion.cmt:Nothing", "has no attribute 'Nothing'"),
        ("bench.faults.sensor_fusion.cmt:conv_bn", "raised TypeError"),
        ("math:pi", "is float; expected a function"),
        ("builtins:dict", "returned dict; expected a module"),
        ("torch.nn:Identity", "'img_backbone' matches nothing"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_clear_error(
    plan: Path, model: str, message: str
) -> None:
    result = CliRunner().invoke(app, ["freeze", str(plan), "--model", model])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_configuration_is_explained(tmp_path: Path) -> None:
    config = tmp_path / "cmt.py"
    keys = "dict(img_backbone=dict(lr_mult=0.0), query_embed=dict(lr_mult=0.5))"
    config.write_text(f"optimizer = dict(lr=1e-4, paramwise_cfg=dict(custom_keys={keys}))")
    arguments = ["freeze", "--explain", str(config), "--model", MODEL]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert "img_backbone lr 0, not frozen" in shown
    assert "query_embed matches nothing" in shown
    assert 'frozen = ["*img_backbone*"]' in shown
    for form, begins in (("json", "{"), ("markdown", str(config))):
        result = CliRunner().invoke(app, [*arguments, "--format", form])
        assert result.stdout.startswith(begins)


def test_a_command_without_a_task_says_what_to_give(plan: Path) -> None:
    for arguments in ([], [str(plan)], ["--measure", "train.py"]):
        result = CliRunner().invoke(app, ["freeze", *arguments])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1


def test_what_a_model_prints_is_no_part_of_the_table(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_model_that_prints.py").write_text(
        "from bench.faults.sensor_fusion.cmt import CMT\n"
        "def make():\n    print('making it')\n    return CMT()\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["freeze", str(plan), "--model", "a_model_that_prints:make", "--format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert json.loads(result.stdout)["parts"]
    assert "making it" in result.stderr


def test_a_table_goes_to_a_file_through_a_link(plan: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to("there.md")
    arguments = ["freeze", str(plan), "--model", MODEL, "--format", "markdown"]
    assert CliRunner().invoke(app, [*arguments, "--output", str(link)]).exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "there.md").read_text("utf-8") == CliRunner().invoke(app, arguments).stdout
    assert {each.name for each in tmp_path.iterdir()} == {"plan.toml", "link.md", "there.md"}


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("open('ran', 'w')")
    arguments = ["--measure", str(tmp_path / "train.py"), "--frozen", "a"]
    result = CliRunner().invoke(app, ["freeze", *arguments, "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert f"--output {tmp_path} is a folder" in result.stderr
    assert "share of the forward" not in result.stderr


def test_a_measurement_stops_at_the_first_process_that_fails(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    script = tmp_path / "train.py"
    script.write_text(f"open({str(runs)!r}, 'a').write('x')\nraise ValueError('no data there')")
    result = CliRunner().invoke(app, ["freeze", "--measure", str(script), "--frozen", "a"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("be measured: ValueError: no data there")
    assert runs.read_text() == "x"
