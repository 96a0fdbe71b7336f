"""Each run has a folder of its own, whenever and however often it is started."""

import re
import shutil
from pathlib import Path

import msgspec
import pytest

from stepscope.recordings.entries import FORMAT, Header
from stepscope.recordings.folder import begin, join, latest, runs
from stepscope.recordings.reader import read_header
from stepscope.version import __version__


def test_the_header_says_what_was_started(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py", ["--lr", "1", "\udcff"], ranks=2)
    header = read_header(run.path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-train", run.name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", header.started)
    assert header == Header(
        format=FORMAT,
        stepscope=__version__,
        program="train.py",
        arguments=("--lr", "1", "\\udcff"),
        started=header.started,
        ranks=2,
    )


def test_the_header_does_not_tell_the_machine(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    assert str(tmp_path).encode() not in (run.path / Header.FILE).read_bytes()


@pytest.mark.parametrize(
    ("program", "stem"),
    [
        ("train.py", "train"),
        ("/somewhere/else/train.v2.py", "train_v2"),
        ("-m open_clip_train.main", "main"),
        ("-m main", "main"),
        ("my train?.py", "my_train_"),
        ("日本.py", "_"),
        (f"{'long' * 30}.py", "long" * 10),
        ("", "run"),
    ],
)
def test_a_run_is_called_by_its_program(tmp_path: Path, program: str, stem: str) -> None:
    assert begin(tmp_path, program).name[20:] == stem


def test_runs_that_begin_in_the_same_second_get_different_folders(tmp_path: Path) -> None:
    begun = [begin(tmp_path, "train.py") for _ in range(8)]
    assert len({run.name for run in begun}) == 8
    assert any(run.name.endswith("-train-2") for run in begun)
    assert sorted(run.name for run in runs(tmp_path)) == sorted(run.name for run in begun)


def test_all_ranks_come_to_the_folder_of_the_first(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py", ranks=2)
    assert join(tmp_path, run.name) == run
    assert join(tmp_path, run.name).rank(1) == run.path / "rank-1"


def test_recordings_are_never_committed(tmp_path: Path) -> None:
    begin(tmp_path, "train.py")
    assert (tmp_path / ".stepscope" / ".gitignore").read_text() == "*\n"


def test_a_file_that_the_user_wrote_is_kept(tmp_path: Path) -> None:
    begin(tmp_path, "train.py")
    (tmp_path / ".stepscope" / ".gitignore").write_text("!*\n")
    begin(tmp_path, "train.py")
    assert (tmp_path / ".stepscope" / ".gitignore").read_text() == "!*\n"


def test_the_latest_run_began_last_whatever_the_clock_said(tmp_path: Path) -> None:
    first = begin(tmp_path, "train.py")
    later_by_name = first.path.with_name("9999-01-01T00-00-00-train")
    first.path.rename(later_by_name)
    second = begin(tmp_path, "train.py")
    assert latest(tmp_path) == second
    shutil.rmtree(second.path)
    assert latest(tmp_path).path == later_by_name


def test_a_folder_without_recordings_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / ".stepscope" / "check-0-0-0").mkdir(parents=True)
    assert runs(tmp_path) == ()
    with pytest.raises(ValueError, match=r"holds no recording of a run; .* start it in"):
        latest(tmp_path)


def test_a_place_that_cannot_be_written_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / ".stepscope").write_text("a file")
    with pytest.raises(OSError, match=r"exists|directory"):
        begin(tmp_path, "train.py")


def test_the_header_is_plain_json(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    facts = msgspec.json.decode((run.path / Header.FILE).read_bytes())
    assert set(facts) == {"format", "stepscope", "program", "arguments", "started", "ranks"}
