"""`stepscope inspect` as a user runs it."""

import json
import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.cli.conftest import Command

MODEL = """\
import torch
def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
def broken():
    raise RuntimeError("no data")
"""


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch pwned",))


def trained(path: Path, *, scale: float = 2.6593, scheduled: bool = True) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    model.register_parameter("logit_scale", nn.Parameter(torch.tensor(scale)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    (model(torch.randn(3, 4)).sum() * model.logit_scale).backward()
    optimizer.step()
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng_state": torch.get_rng_state(),
        "epoch": 3,
    }
    torch.save(saved | ({"scheduler": schedule.state_dict()} if scheduled else {}), path)


def test_a_whole_checkpoint_is_shown_and_nothing_is_at_fault(
    stepscope: Command, tmp_path: Path
) -> None:
    trained(tmp_path / "a.pt")
    done = stepscope("inspect", "a.pt")
    assert done.returncode == 0, done.stderr
    for word in ("logit_scale", "certain for 3 of 7 parameters", "Adam", "epoch 3", "scheduler"):
        assert word in done.stdout
    assert "Nothing at fault" in done.stdout
    assert done.stderr == ""


def test_a_missing_scheduler_counts_where_warnings_do(stepscope: Command, tmp_path: Path) -> None:
    trained(tmp_path / "a.pt", scheduled=False)
    assert stepscope("inspect", "a.pt").returncode == 0
    done = stepscope("inspect", "a.pt", "--strict")
    assert done.returncode == 1
    assert "CKP005" in done.stdout
    assert "initial_lr" in done.stdout


def test_json_on_stdout_holds_the_file_as_typed_values(stepscope: Command, tmp_path: Path) -> None:
    trained(tmp_path / "a.pt")
    done = stepscope("inspect", "a.pt", "--format", "json")
    said = json.loads(done.stdout)
    assert said["checkpoint"]["writer"] == "torch.save"
    names = [slot["parameter"] for slot in said["checkpoint"]["optimizers"][0]["slots"]]
    assert names[:2] == ["logit_scale", "0.weight"]
    assert said["exit_code"] == 0


def test_a_wrapped_model_is_an_error_with_the_prefix_that_repairs_it(
    stepscope: Command, tmp_path: Path
) -> None:
    (tmp_path / "models.py").write_text(MODEL)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    torch.save({f"module.{k}": v for k, v in model.state_dict().items()}, tmp_path / "a.pt")
    done = stepscope("inspect", "a.pt", "--against", "models:build")
    assert done.returncode == 1
    assert "strip 'module.'" in done.stdout
    assert "CKP002" in done.stdout


def test_an_untrained_model_is_known_by_its_bits(stepscope: Command, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(MODEL)
    space: dict[str, object] = {}
    exec(MODEL, space)  # noqa: S102
    build = space["build"]
    assert callable(build)
    torch.save(build().state_dict(), tmp_path / "a.pt")
    done = stepscope("inspect", "a.pt", "--against", "models:build", "--format", "json")
    said = json.loads(done.stdout)
    assert len(said["comparison"]["identical"]) == 6
    assert "CKP004" in {each["rule"] for each in said["findings"]}


def test_a_declared_temperature_that_a_resume_overrides_is_an_error(
    stepscope: Command, tmp_path: Path
) -> None:
    trained(tmp_path / "a.pt")
    (tmp_path / "train.toml").write_text("lr = 3e-4\n[intent]\ntemperature = 100.0\n")
    done = stepscope("inspect", "a.pt", "--against", "train.toml", "--format", "json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    brought = {each["name"]: each for each in said["comparison"]["brought"]}
    assert brought["logit_scale"]["against"] == pytest.approx(4.60517, abs=1e-4)
    assert brought["initial lr of group 0"]["in_file"] == 1e-3
    assert [e["severity"] for e in said["findings"] if e["rule"] == "CKP006"] == ["error", "note"]


def test_two_files_are_compared_bit_for_bit(stepscope: Command, tmp_path: Path) -> None:
    trained(tmp_path / "a.pt")
    saved = torch.load(tmp_path / "a.pt")
    saved["model"]["2.bias"][0] += 1
    saved["epoch"] = 4
    torch.save(saved, tmp_path / "b.pt")
    done = stepscope("inspect", "b.pt", "--against", "a.pt", "--format", "json")
    said = json.loads(done.stdout)["comparison"]
    assert said["differing"] == ["2.bias"]
    assert said["brought"] == [{"name": "epoch", "in_file": 4.0, "against": 3.0}]


def test_a_nan_in_a_weight_is_an_error(stepscope: Command, tmp_path: Path) -> None:
    torch.save({"w": torch.tensor([[1.0, float("nan")], [0.0, 1.0]])}, tmp_path / "a.pt")
    done = stepscope("inspect", "a.pt")
    assert done.returncode == 1
    assert "w (1 of 4)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.pt"], "No such file"),
        (["zero.pt"], "zero.pt"),
        (["evil.pt"], "posix.system"),
        (["good.pt", "--against", "nothing"], "there is no such file"),
        (["good.pt", "--against", "models:broken"], "raised RuntimeError: no data"),
        (["good.pt", "--tainted-by", "GRD006"], "is no folder"),
        ([".", "--tainted-by", "GRD06"], "the nearest is GRD006"),
        ([".", "--tainted-by", "absent.json"], "cannot be read"),
        (["good.pt", "--select", "CKP05"], "no rule has the code"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    stepscope: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "models.py").write_text(MODEL)
    torch.save({"w": torch.ones(2)}, tmp_path / "good.pt")
    (tmp_path / "zero.pt").write_bytes(b"")
    torch.save({"w": torch.ones(2), "evil": Evil()}, tmp_path / "evil.pt")
    done = stepscope("inspect", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not (tmp_path / "pwned").exists()


def test_checkpoints_under_a_finding_are_listed_and_none_is_deleted(
    stepscope: Command, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    now = time.time()
    report = {
        "findings": [{"rule": "CON001", "severity": "warning", "subject": "s", "at": {}}],
        "passed": [],
        "run": {"program": "train.py", "root": str(tmp_path), "wall_s": 10.0},
    }
    (tmp_path / "check.json").write_text(json.dumps(report))
    later = report | {"findings": [], "passed": ["CON001"]}
    (tmp_path / "repaired.json").write_text(json.dumps(later))
    for name, when in (("check.json", now - 1000), ("repaired.json", now - 500)):
        os.utime(tmp_path / name, (when, when))
    trained(runs / "wild.pt", scale=9.0)
    trained(runs / "before.pt")
    torch.save({"w": torch.randn(4)}, runs / "during.pt")
    torch.save({"w": torch.randn(4)}, runs / "after.pt")
    (runs / "broken.pt").write_bytes(b"PK\x03\x04 and no more")
    for name, when in (("before.pt", now - 2000), ("during.pt", now - 900), ("after.pt", now)):
        os.utime(runs / name, (when, when))
    kept = sorted(each.name for each in runs.iterdir())
    done = stepscope("inspect", "runs", "--tainted-by", "check.json", "--format", "json")
    said = json.loads(done.stdout)
    found = {
        each["path"]: (each["is_tainted"], each["confidence"])
        for each in said["taints"]["checkpoints"]
    }
    assert found == {
        "wild.pt": (True, "possible"),
        "before.pt": (False, "likely"),
        "during.pt": (True, "likely"),
        "after.pt": (False, "likely"),
    }
    assert [each.split(":")[0] for each in said["taints"]["unreadable"]] == ["broken.pt"]
    assert sorted(each.name for each in runs.iterdir()) == kept
    assert {each["rule"] for each in said["findings"]} == {"CKP009"}
    text = stepscope("inspect", "runs", "--tainted-by", "check.json").stdout
    assert "beyond 1 to 100" in " ".join(text.split())
