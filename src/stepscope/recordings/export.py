"""Turns the recordings of many runs into Parquet tables, for other tools to query."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from stepscope.core.whole_file import draft_of
from stepscope.evidence.course.line import Line
from stepscope.recordings.entries import Entry, Found
from stepscope.recordings.reader import Recorded, read

ROWS = 2**16  # that are written at once
WHERE = {"run": "string", "rank": "int32", "step": "int64", "seconds": "float64"}
TABLES: dict[str, dict[str, str]] = {  # columns, and what they hold as Arrow calls it
    "runs": {
        "run": "string",
        "program": "string",
        "arguments": "string",  # a JSON array
        "started": "string",
        "stepscope": "string",
        "ranks": "int32",
        "recorded": "int32",  # ranks that left something
    },
    "numbers": WHERE | {"subject": "string", "name": "string", "value": "float64"},
    "happenings": WHERE | {"kind": "string", "facts": "string"},  # a JSON object
    "findings": WHERE
    | {
        "code": "string",
        "severity": "string",
        "subject": "string",
        "message": "string",
        "measured": "string",
        "expected": "string",
        "at": "string",
    },
}
Row = tuple[object, ...]


def to_parquet(runs: Iterable[Path], into: Path) -> tuple[Path, ...]:
    """Write one file for each of `TABLES`, with all these runs, and return the files.

    A run is called as its folder was given here.

    Raises:
        ValueError: pyarrow is not installed, or a folder is not that of a run.
        OSError: the files cannot be written.
    """
    recorded = [read(folder) for folder in runs]
    into.mkdir(parents=True, exist_ok=True)
    paths = tuple(into / f"{name}.parquet" for name in TABLES)
    with ExitStack() as stack:
        tables = {
            name: stack.enter_context(_Table(path, TABLES[name]))
            for name, path in zip(TABLES, paths, strict=True)
        }
        for run in recorded:
            for name, row in _rows(run):
                tables[name].add(row)
    return paths


def _rows(run: Recorded) -> Iterator[tuple[str, Row]]:
    """Yield rows, each with the name of its table."""
    name, header = str(run.folder), run.header
    arguments = msgspec.json.encode(header.arguments).decode()
    described = header.program, arguments, header.started, header.stepscope, header.ranks
    yield "runs", (name, *described, len(run.ranks))
    for each in run.ranks:
        for entry, said in each.entries(()):
            where = name, each.rank, said.step, said.seconds
            match said:
                case Line():
                    for row in _numbers(said):
                        yield "numbers", (*where, *row)
                    for row in _happenings(entry):
                        yield "happenings", (*where, *row)
                case Found():
                    yield "findings", (*where, *_finding(said))


def _numbers(line: Line) -> Iterator[Row]:
    for subject, numbers in line.numbers.items():
        for name, value in numbers.items():
            yield subject, name, value


def _happenings(entry: Entry) -> Iterator[Row]:
    for happened in entry.happened:
        for kind, facts in happened.items():
            yield kind, bytes(facts).decode(errors="replace")


def _finding(found: Found) -> Row:
    finding = found.finding
    said = finding.subject, finding.message, finding.measured, finding.expected
    return found.code, found.severity.value, *said, str(finding.at)


class _Table:
    """A Parquet file that is written in batches, and takes its name when it is complete."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError:
            raise ValueError(
                "Parquet needs pyarrow, which is not installed; pip install 'stepscope[parquet]'"
            ) from None
        self._arrow = pa
        self._schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.items()])
        self._path = path
        self._draft = draft_of(path).with_suffix(f".{path.name}.part")
        self._writer: Any = parquet.ParquetWriter(self._draft, self._schema)
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._write()
            self._writer.close()
            if error is None:
                self._draft.replace(self._path)
        finally:
            self._draft.unlink(missing_ok=True)

    def _write(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [() for _ in self._schema]
        arrays = [
            self._arrow.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
