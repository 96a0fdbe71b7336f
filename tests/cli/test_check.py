"""`stepscope check` as a user meets it: what goes where, and with which exit code."""

import json
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("faulty")
ONLY = ("check", "--select", "OPT001")


def test_the_scripts_output_stays_on_stdout_and_the_report_goes_to_stderr(
    stepscope: Command,
) -> None:
    done = stepscope(*ONLY, "train.py", "--lr", "3", "--", "-x")
    assert done.returncode == 1
    assert done.stdout == "arguments ['--lr', '3', '--', '-x']\nfrom a child\n"
    assert "error   OPT001 not-in-optimizer" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("The run is at fault: ")


def test_a_machine_format_has_stdout_for_itself_even_with_subprocesses(stepscope: Command) -> None:
    done = stepscope(*ONLY, "--format", "json", "train.py", "--", "--lr", "3")
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "findings"
    assert done.stderr == "arguments ['--lr', '3']\nfrom a child\n"


def test_output_goes_to_a_file_with_its_folders_and_the_verdict_to_stderr(
    stepscope: Command, tmp_path: Path
) -> None:
    done = stepscope(*ONLY, "--format", "json", "--output", "a/b/report.json", "train.py")
    assert done.returncode == 1
    written = tmp_path / "a" / "b" / "report.json"
    assert json.loads(written.read_text("utf-8"))["verdict"] == "findings"
    assert [each.name for each in written.parent.iterdir()] == ["report.json"]
    assert stat.S_IMODE(written.stat().st_mode) & 0o044 == 0o044
    assert done.stdout.startswith("arguments []")
    assert "The run is at fault: " in done.stderr


def test_settings_of_the_folder_are_used_and_an_ignored_finding_is_no_fault(
    stepscope: Command, tmp_path: Path
) -> None:
    (tmp_path / "stepscope.toml").write_text(
        'select = ["OPT001"]\nignore = [{ code = "OPT", reason = "the head is a probe" }]\n'
    )
    done = stepscope("check", "train.py")
    assert done.returncode == 0
    said = " ".join(done.stderr.split())
    assert "settings" in said
    assert "the head is a probe" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("absent.py",), "there is no script absent.py"),
        (
            ("--format", "jso", "train.py"),
            "there is no format 'jso'; choose one of github, html, json",
        ),
        (("--output", ".", "train.py"), "is a folder; give the name of a file in it"),
        (("--output", "train.py/x", "train.py"), "its folder cannot be made"),
        (("--output", "x" * 300, "train.py"), "cannot be written: File name too long"),
        (("x" * 300,), "cannot be read: File name too long"),
        (("-m", "package.train"), "package.train cannot be imported: KeyError: 'home'"),
        (("--select", "OPT02", "train.py"), "no rule has the code 'OPT02'; the nearest is OPT"),
        (("--ignore", "OPT001", "train.py"), "ignore of 'OPT001' has no reason"),
        (("--intent", "absent.toml", "train.py"), "absent.toml cannot be read: No such file"),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence_and_nothing_runs(
    stepscope: Command, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("{}['home']")
    done = stepscope("check", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("stepscope: ")
    assert sentence in line


def test_a_program_that_raises_before_a_step_is_not_judged(
    stepscope: Command, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("import torch\nraise KeyError('lr')\n")
    done = stepscope("check", "train.py")
    assert done.returncode == 2
    assert 'File "' in done.stderr
    assert "KeyError: 'lr'" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "Could not judge: the program raised before the first optimizer step."


def test_a_script_that_moves_away_and_closes_its_streams_gets_its_report_all_the_same(
    stepscope: Command, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    moving = "import os, sys, tempfile\nos.chdir(tempfile.gettempdir())\nsys.stderr.close()\n"
    script.write_text(moving + script.read_text("utf-8"), "utf-8")
    done = stepscope(*ONLY, "--output", "report.txt", "train.py")
    assert done.returncode == 1
    assert "error   OPT001" in (tmp_path / "report.txt").read_text("utf-8")


def test_a_script_that_takes_every_way_to_answer_away_is_answered_all_the_same(
    stepscope: Command, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(
        """
import os, sys, threading, time, torch
threading.Thread(target=time.sleep, args=(600,)).start()
sys.exit = lambda code=0: None
sys.excepthook = lambda *_: None
os.close(1), os.close(2)
sys.stdout = sys.stderr = None
raise KeyError("lr")
"""
    )
    done = stepscope(*ONLY, "--output", "report.txt", "train.py")
    assert done.returncode == 2
    assert "the program raised before the first optimizer step" in done.stderr
    assert "KeyError: 'lr'" in (tmp_path / "report.txt").read_text("utf-8")
