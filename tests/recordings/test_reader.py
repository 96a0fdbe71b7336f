"""A recording is read, whatever became of its files, and what cannot be read is counted."""

import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.course.line import Line
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.intent import Intent
from stepscope.recordings import reader, tail
from stepscope.recordings.entries import FORMAT, Ended, Found, Header
from stepscope.recordings.folder import RunFolder, begin
from stepscope.recordings.reader import RankRecorded, read
from tests.recordings.making import Skipped, line, recorder

FINDING = Finding(subject="a", message="b", measured="c", expected="d")


def run_with(home: Path, *, ranks: int = 1, lines: int = 5) -> RunFolder:
    run = begin(home, "train.py", ranks=ranks)
    for rank in range(ranks):
        recording = recorder(run.rank(rank))
        for step in range(lines):
            recording.line(line(step, a=rank + step / 7))
        recording.close(lines, "finished")
    return run


def rank_of(run: RunFolder) -> RankRecorded:
    (rank,) = read(run.path).ranks
    return rank


def first_file(run: RunFolder) -> Path:
    return run.rank(0) / "lines-1-000001.jsonl"


def steps(rank: RankRecorded) -> list[int]:
    return [each.step for each in rank.lines(())]


def test_all_ranks_are_read_and_missing_ones_named(tmp_path: Path) -> None:
    run = run_with(tmp_path, ranks=3)
    shutil.rmtree(run.rank(1))
    (run.path / "rank-x").mkdir()
    (run.path / "rank-7.txt").touch()
    recorded = read(run.path)
    assert [each.rank for each in recorded.ranks] == [0, 2]
    assert recorded.missing == (1,)
    assert [next(each.lines(())).numbers["loss"]["a"] for each in recorded.ranks] == [0.0, 2.0]


def test_a_rank_that_left_an_empty_folder_has_nothing_to_say(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    run.rank(0).mkdir()
    rank = rank_of(run)
    assert (steps(rank), rank.findings(), rank.ended, rank.damage) == ([], (), None, ())


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_torn_end_is_left_out(tmp_path: Path, cut: int) -> None:
    run = run_with(tmp_path)
    whole = first_file(run).read_bytes().removesuffix(b"\n")
    first_file(run).write_bytes(whole[:-cut])
    rank = rank_of(run)
    assert steps(rank) == [0, 1, 2, 3, 4]
    assert rank.ended is None
    assert rank.damage == (
        f"{run.rank(0)}: 1 of its files end in the middle of an entry, as after a kill",
    )


def test_a_torn_end_does_not_hide_what_was_written_after_it(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    whole = first_file(run).read_bytes()
    first_file(run).write_bytes(whole[:-10])
    first_file(run).with_name("lines-1-000002.jsonl").write_bytes(
        b'{"n":7,"step":7,"seconds":1.0,"numbers":{"loss":{"a":1}}}'
    )
    first_file(run).with_name("lines-1-000003.jsonl").write_bytes(
        b'{"n":8,"step":8,"seconds":1.0,"numbers":{"loss":{"a":1}}}\n'
    )
    rank = rank_of(run)
    assert steps(rank) == [0, 1, 2, 3, 4, 7, 8]
    assert rank.damage == (
        f"{run.rank(0)}: 1 of its files end in the middle of an entry, as after a kill",
    )


def test_an_entry_that_lacks_only_its_newline_is_read(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    first_file(run).write_bytes(first_file(run).read_bytes().removesuffix(b"\n"))
    assert rank_of(run).ended == Ended(step=5, seconds=1.0, how="finished")
    assert rank_of(run).damage == ()


def test_zeros_after_a_loss_of_power_are_no_damage(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    with first_file(run).open("ab") as file:
        file.write(b"\0" * 5000)
    rank = rank_of(run)
    assert (steps(rank), rank.damage) == ([0, 1, 2, 3, 4], ())


HOSTILE = {
    "no JSON": b"what is this?",
    "no text": b"\xff\xfe{}",
    "a list": b"[1, 2, 3]",
    "no step": b'{"n":3,"seconds":1.0}',
    "a step below 0": b'{"n":3,"step":-1,"seconds":1.0}',
    "a step that no machine can hold": b'{"n":3,"step":99999999999999999999,"seconds":1.0}',
    "a number that is none": b'{"n":3,"step":1,"seconds":1.0,"numbers":{"loss":{"a":"x"}}}',
    "a finding that is none": b'{"n":3,"step":1,"seconds":1.0,"found":{"code":1}}',
    "a happening that is none": b'{"n":3,"step":1,"seconds":1.0,"happened":[{"Skipped":3}]}',
    "nested": b'{"n":3,"step":1,"seconds":1.0,"more":' + b"[" * 100_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_read_in_the_middle_is_counted(tmp_path: Path, what: str) -> None:
    run = run_with(tmp_path)
    texts = first_file(run).read_bytes().splitlines()
    texts[2] = HOSTILE[what]
    first_file(run).write_bytes(b"\n".join(texts) + b"\n")
    rank = rank_of(run)
    assert [each.step for each in rank.lines([Skipped])] == [0, 1, 3, 4]
    damage = (f"{run.rank(0)}: 1 of its entries cannot be read, and are left out",)
    assert rank.damage == damage
    assert [each.step for each in rank.lines([Skipped])] == [0, 1, 3, 4]
    assert rank.damage == damage  # what is read again is not counted again


def test_an_entry_of_endless_length_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LONGEST", 1000)
    monkeypatch.setattr(tail, "CHUNK", 100)
    run = run_with(tmp_path)
    texts = first_file(run).read_bytes().splitlines()
    texts[2] = b'{"n":3,"step":2,"seconds":1.0,"more":"' + b"x" * 50_000 + b'"}'
    first_file(run).write_bytes(b"\n".join(texts) + b"\n")
    rank = rank_of(run)
    assert steps(rank) == [0, 1, 3, 4]
    assert "1 of its entries cannot be read" in rank.damage[0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_bytes_make_reading_raise(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as home:
        run = run_with(Path(home))
        recording = recorder(run.rank(0))
        recording.window(3, Recording(Intent(classes=3)))
        recording.finding(3, "X001", Severity.NOTE, FINDING)
        recording.close(3, "finished")
        path = data.draw(st.sampled_from(sorted(run.rank(0).iterdir())))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        path.write_bytes(content)
        rank = rank_of(run)
        said = [said for _, said in rank.entries([Skipped])]
        assert all(isinstance(each, Line | Found | Ended) for each in said)
        assert len(list(rank.windows([Intent]))) <= 1
        assert all(isinstance(each, str) for each in rank.damage)


def test_a_window_that_cannot_be_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recorder(tmp_path)
    for step in range(4):
        recording.window(step, Recording(Intent(frozen=("x" * 2**step * 100,))))
    recording.close(4, "finished")
    (tmp_path / "window-1-000001.json").write_bytes(b"{")
    (tmp_path / "window-1-000002.json").write_bytes(
        b'{"step":1,"seconds":1.0,"evidence":{"Intent":{"classes":"many"}}}'
    )
    monkeypatch.setattr(reader, "LARGEST_WINDOW", 700)
    rank = RankRecorded(0, tmp_path)
    assert [each.step for each in rank.windows([Intent])] == [2]
    assert rank.damage == (f"{tmp_path}: 3 of its windows cannot be read, and are left out",)


def test_a_window_gives_only_the_evidence_that_is_asked_for(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.window(1, Recording(Intent(classes=3), Gradients(gradients=())))
    recording.close(1, "finished")
    (window,) = RankRecorded(0, tmp_path).windows([Intent])
    assert list(window.seen) == [Intent(classes=3)]


def test_what_another_tool_may_add_to_an_entry_is_ignored(tmp_path: Path) -> None:
    run = run_with(tmp_path, lines=1)
    with first_file(run).open("ab") as file:
        file.write(b'{"n":8,"step":8,"seconds":1.0,"numbers":{"loss":{"a":1}},"new":[1]}\n')
    assert steps(rank_of(run)) == [0, 8]


def test_a_process_that_was_started_again_comes_after_the_one_before_it(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    recording = recorder(run.rank(0))
    recording.line(line(3, a=0.5))
    recording.flush()
    rank = rank_of(run)
    assert steps(rank) == [0, 1, 2, 3, 4, 3]
    assert rank.ended is None
    recording.close(4, "raised")
    assert rank.ended == Ended(step=4, seconds=1.0, how="raised")


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    header = msgspec.json.decode((run.path / Header.FILE).read_bytes())
    header |= {"format": FORMAT + 1, "stepscope": "9.0", "program": ["of", "another", "kind"]}
    (run.path / Header.FILE).write_bytes(msgspec.json.encode(header))
    with pytest.raises(
        ValueError, match=r"is of format 2, written by stepscope 9\.0; .* up to 1: install that"
    ):
        read(run.path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": 1}', b'{"format": "1"}', b"[" * 100_000, b"\xff"],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    run = run_with(tmp_path)
    (run.path / Header.FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not the header of a recording"):
        read(run.path)


def test_a_header_that_claims_a_world_of_processes_is_refused(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    header = msgspec.json.decode((run.path / Header.FILE).read_bytes())
    (run.path / Header.FILE).write_bytes(msgspec.json.encode(header | {"ranks": 10**12}))
    with pytest.raises(ValueError, match="ranks"):
        read(run.path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=r"holds no run\.json; expected the folder of a run"):
            read(path)


def test_files_of_other_kinds_are_not_waited_for(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    os.mkfifo(run.rank(0) / "lines-1-000002.jsonl")
    os.mkfifo(run.rank(0) / "window-1-000001.json")
    (run.rank(0) / "lines-1-000003.jsonl").symlink_to("/dev/zero")
    (run.rank(0) / "lines-1-000004.jsonl").symlink_to("nowhere")
    rank = rank_of(run)
    assert steps(rank) == [0, 1, 2, 3, 4]
    assert list(rank.windows([Intent])) == []
