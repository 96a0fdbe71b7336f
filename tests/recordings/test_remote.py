"""Recordings are copied from and to wherever fsspec reaches, and nothing else is."""

import sys
from pathlib import Path

import fsspec
import pytest

from stepscope.core import Recording
from stepscope.evidence.intent import Intent
from stepscope.recordings import remote
from stepscope.recordings.folder import RunFolder, begin
from stepscope.recordings.reader import read
from stepscope.recordings.remote import fetch, runs_at, send
from tests.recordings.making import line, recorder


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/.stepscope"


def run_with(home: Path) -> RunFolder:
    run = begin(home, "train.py", ranks=2)
    for rank in range(2):
        recording = recorder(run.rank(rank))
        recording.line(line(1, a=rank))
        recording.window(2, Recording(Intent(classes=3)))
        recording.close(2, "finished")
    return run


def contents(run: Path) -> dict[str, bytes]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def test_a_run_that_is_sent_and_fetched_is_the_same(tmp_path: Path, place: str) -> None:
    run = run_with(tmp_path)
    send(run.path, f"{place}/{run.name}")
    copy = fetch(f"{place}/{run.name}/", tmp_path / "copies")
    assert copy == tmp_path / "copies" / run.name
    assert contents(copy) == contents(run.path)
    assert [each.rank for each in read(copy).ranks] == [0, 1]


def test_runs_of_a_place_are_listed_and_can_be_fetched(tmp_path: Path, place: str) -> None:
    runs = [run_with(tmp_path) for _ in range(2)]
    for run in runs:
        send(run.path, f"{place}/{run.name}")
    found = runs_at(place)
    assert [each.rsplit("/", 1)[-1] for each in found] == sorted(run.name for run in runs)
    assert [fetch(each, tmp_path / "copies").name for each in found] == sorted(
        run.name for run in runs
    )


def test_only_what_belongs_to_a_recording_is_copied(tmp_path: Path, place: str) -> None:
    run = run_with(tmp_path)
    (run.path / "notes.txt").write_text("of the user")
    (run.rank(0) / "lines-1.part").write_text("of a process that was killed")
    send(run.path, f"{place}/run")
    system = fsspec.filesystem("memory")
    root = f"/{tmp_path.name}/.stepscope/run"
    assert not system.exists(f"{root}/notes.txt")
    for other in ("rank-0/../../lines-1-000001.jsonl", "rank-0/a/lines-1-000001.jsonl", "x.pkl"):
        system.pipe(f"{root}/{other}", b"?")
    copy = fetch(f"{place}/run", tmp_path / "copies")
    expected = contents(run.path)
    del expected["notes.txt"], expected["rank-0/lines-1.part"]
    assert contents(copy) == expected
    assert [each.name for each in (tmp_path / "copies").iterdir()] == ["run"]


def test_a_file_that_is_too_large_for_a_recording_is_refused(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path)
    send(run.path, f"{place}/run")
    monkeypatch.setattr(remote, "LARGEST", 100)
    with pytest.raises(ValueError, match=r"bytes; expected at most 100, .* remove it"):
        fetch(f"{place}/run", tmp_path / "copies")


def test_a_place_without_a_recording_is_refused(tmp_path: Path, place: str) -> None:
    fsspec.filesystem("memory").pipe(f"/{tmp_path.name}/.stepscope/run/a.txt", b"?")
    with pytest.raises(ValueError, match=r"holds no run\.json"):
        fetch(f"{place}/run", tmp_path / "copies")
    assert runs_at(place) == ()


def test_a_folder_that_is_no_run_is_not_sent(tmp_path: Path, place: str) -> None:
    with pytest.raises(ValueError, match=r"holds no run\.json"):
        send(tmp_path, f"{place}/run")


def test_a_place_that_needs_another_package_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ValueError, match=r"gs://bucket/run cannot be opened: .*gcsfs"):
        fetch("gs://bucket/run", tmp_path)


def test_a_remote_place_without_fsspec_says_what_to_install(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ValueError, match=r"pip install 'stepscope\[remote\]'"):
        fetch(place, tmp_path)
