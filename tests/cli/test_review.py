"""`stepscope review` as a user meets it: what the run itself said, from its files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import FAULTY, Command

JSON = ("--format", "json")
NO_TORCH = """\
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Refused())
from stepscope.cli import main
sys.argv = ["stepscope", "review"]
main()
"""


def findings(text: str) -> list[tuple[Any, ...]]:
    """Return what a report in JSON says, without what differs from one reading to the next."""
    report = json.loads(text)
    return [(each["rule"], each["subject"], each["measured"]) for each in report["findings"]]


class Run(NamedTuple):
    """A faulty program that was watched to its end."""

    home: Path  # it was started in
    folder: Path  # of the recording
    report: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("watched")
    (home / "train.py").write_text(FAULTY, "utf-8")
    command = ("run", *JSON, "--output", "report.json", "train.py")
    done = subprocess.run(
        [sys.executable, "-m", "stepscope", *command],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (folder,) = (each for each in home.glob(".stepscope/*") if each.is_dir())
    return Run(home, folder, (home / "report.json").read_text())


def test_the_recording_is_judged_as_the_run_was(stepscope: Command, run: Run) -> None:
    done = stepscope("review", *JSON, str(run.folder))

    assert done.returncode == 1
    assert findings(done.stdout) == findings(run.report)
    told, now = json.loads(run.report), json.loads(done.stdout)
    assert now["passed"] == told["passed"]
    assert [each["rule"] for each in now["skipped"]] == [each["rule"] for each in told["skipped"]]


def test_the_latest_run_is_judged_without_torch(run: Run) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH], cwd=run.home, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1, done.stderr
    assert "OPT001 not-in-optimizer" in done.stdout


def test_a_run_that_was_killed_is_judged_as_far_as_it_came(
    stepscope: Command, run: Run, tmp_path: Path
) -> None:
    shutil.copytree(run.folder, tmp_path / "killed")
    (file,) = tmp_path.glob("killed/rank-0/lines-*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-3]) + lines[-3][:10])

    done = stepscope("review", "killed")

    assert done.returncode == 1
    assert "OPT001" in done.stdout
    assert "goes on, or was killed" in done.stdout


def test_following_a_run_that_is_over_shows_each_finding_and_the_report(
    stepscope: Command, run: Run
) -> None:
    done = stepscope("review", "--follow", str(run.folder))

    assert done.returncode == 1
    assert "error OPT001 not-in-optimizer" in done.stderr
    assert "finished after step 100" in done.stderr
    assert "The run is at fault" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "holds no recording of a run"),
        (("nowhere",), "holds no run.json"),
        (("one", "two"), "2 runs are given; expected one"),
    ],
)
def test_what_cannot_be_reviewed_is_said_in_one_sentence(
    stepscope: Command, arguments: tuple[str, ...], said: str
) -> None:
    done = stepscope("review", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_tables_of_a_run_are_written_for_a_notebook(
    stepscope: Command, run: Run, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")

    done = stepscope("review", "--parquet", "tables", str(run.folder))

    assert done.returncode == 0, done.stderr
    numbers = parquet.read_table(tmp_path / "tables" / "numbers.parquet").to_pydict()
    assert "total" in numbers["name"]
