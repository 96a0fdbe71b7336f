"""The tables of many runs hold what their recordings hold."""

import math
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stepscope.core import Finding, Place, Severity
from stepscope.recordings import export
from stepscope.recordings.export import TABLES, to_parquet
from stepscope.recordings.folder import RunFolder, begin
from tests.recordings.making import Skipped, line, recorder

FINDING = Finding(
    subject="a", message="b", measured="c", expected="d", at=Place(file="train.py", line=3)
)


def run_with(home: Path, *losses: float, ranks: int = 1) -> RunFolder:
    home.mkdir(exist_ok=True)
    run = begin(home, "train.py", ["--lr", "1"], ranks=ranks)
    for rank in range(ranks):
        recording = recorder(run.rank(rank))
        for step, loss in enumerate(losses):
            recording.line(line(step, a=loss, b=rank))
        recording.line(line(9, Skipped(at=Place(module="head"), scale=0.5)))
        recording.finding(9, "X001", Severity.NOTE, FINDING)
        recording.close(9, "finished")
    return run


def rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    read = pq.read_table(folder / f"{table}.parquet")
    assert read.column_names == list(TABLES[table])
    return [tuple(row.values()) for row in read.to_pylist()]


def test_two_runs_become_one_set_of_tables(tmp_path: Path) -> None:
    one = run_with(tmp_path / "one", 0.5, ranks=2).path
    two = run_with(tmp_path / "two", 0.25, math.inf).path
    paths = to_parquet([one, two], tmp_path / "tables")
    assert [path.name for path in paths] == [f"{name}.parquet" for name in TABLES]
    assert sorted(tmp_path.glob("tables/*")) == sorted(paths)
    assert rows(tmp_path / "tables", "numbers") == [
        (str(one), 0, 0, 0.0, "loss", "a", 0.5),
        (str(one), 0, 0, 0.0, "loss", "b", 0.0),
        (str(one), 1, 0, 0.0, "loss", "a", 0.5),
        (str(one), 1, 0, 0.0, "loss", "b", 1.0),
        (str(two), 0, 0, 0.0, "loss", "a", 0.25),
        (str(two), 0, 0, 0.0, "loss", "b", 0.0),
        (str(two), 0, 1, 0.1, "loss", "a", math.inf),
        (str(two), 0, 1, 0.1, "loss", "b", 0.0),
    ]
    facts = '{"at":{"module":"head"},"scale":0.5}'
    ranks = ((str(one), 0), (str(one), 1), (str(two), 0))
    assert rows(tmp_path / "tables", "happenings") == [
        (*rank, 9, 0.9, "Skipped", facts) for rank in ranks
    ]
    said = ("X001", "note", "a", "b", "c", "d", "train.py:3")
    assert rows(tmp_path / "tables", "findings") == [(*rank, 9, 1.0, *said) for rank in ranks]
    known = rows(tmp_path / "tables", "runs")
    assert [(row[0], row[1], row[2], *row[5:]) for row in known] == [
        (str(one), "train.py", '["--lr","1"]', 2, 2),
        (str(two), "train.py", '["--lr","1"]', 1, 1),
    ]


def test_more_rows_than_are_written_at_once_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS", 7)
    run = run_with(tmp_path, *(step / 7 for step in range(100)))
    to_parquet([run.path], tmp_path / "tables")
    assert pq.ParquetFile(tmp_path / "tables" / "numbers.parquet").num_row_groups > 1
    values = [row[-1] for row in rows(tmp_path / "tables", "numbers")]
    assert values[::2] == [step / 7 for step in range(100)]


def test_runs_in_which_nothing_happened_give_empty_tables(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    to_parquet([run.path], tmp_path / "tables")
    assert [len(rows(tmp_path / "tables", name)) for name in TABLES] == [1, 0, 0, 0]


def test_happenings_that_are_no_text_are_written_as_far_as_they_are(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    run.rank(0).mkdir()
    (run.rank(0) / "lines-1-000001.jsonl").write_bytes(
        b'{"n":1,"step":1,"seconds":1.0,"happened":[{"Skipped":{"why":"\xff"}}]}\n'
    )
    to_parquet([run.path], tmp_path / "tables")
    ((*_, facts),) = rows(tmp_path / "tables", "happenings")
    assert facts == '{"why":"\ufffd"}'


def test_a_folder_that_is_no_run_leaves_older_tables_as_they_were(tmp_path: Path) -> None:
    run = run_with(tmp_path, 0.5)
    (before, *_) = to_parquet([run.path], tmp_path / "tables")
    content = before.read_bytes()
    with pytest.raises(ValueError, match=r"holds no run\.json"):
        to_parquet([run.path, tmp_path], tmp_path / "tables")
    assert before.read_bytes() == content


def test_a_table_that_cannot_be_written_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    run = run_with(tmp_path, 0.5)
    tables = tmp_path / "tables"
    paths = to_parquet([run.path], tables)
    before = [path.read_bytes() for path in paths[:-1]]
    paths[-1].unlink()
    paths[-1].mkdir()
    with pytest.raises(OSError, match="directory"):
        to_parquet([run_with(tmp_path, 0.25).path], tables)
    assert [path.read_bytes() for path in paths[:-1]] == before
    assert sorted(tables.iterdir()) == sorted(paths)


def test_a_finding_with_numbers_that_no_table_holds_can_be_exported(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0))
    recording.finding(
        1,
        "X001",
        Severity.NOTE,
        Finding(subject="a", message="b", measured="c", expected="d", at=Place(line=2**62)),
    )
    recording.close(1, "finished")
    to_parquet([run.path], tmp_path / "tables")
    assert rows(tmp_path / "tables", "findings")[0][-1] == f":{2**62}"


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path, 0.5)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'stepscope\[parquet\]'"):
        to_parquet([run.path], tmp_path / "tables")
