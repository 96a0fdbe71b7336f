"""An excerpt shows what stands in the file, and nothing where that cannot be known."""

from pathlib import Path

import pytest

from stepscope.core import Place, Related
from stepscope.reporters.content.excerpt import LARGEST, excerpts

SOURCE = "\n".join(f"    line{number}" for number in range(1, 21))


@pytest.fixture(autouse=True)
def source(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SOURCE, "utf-8")
    return path


def shown(root: Path, line: int, *related: Related, file: str = "train.py") -> list[list[str]]:
    found = excerpts(Place(file=file, line=line), related, str(root))
    return [[f"{each.mark}{each.number} {each.text}" for each in one.lines] for one in found]


def near(line: int, label: str = "b") -> Related:
    return Related(label, Place(file="train.py", line=line))


def test_two_lines_around_without_their_common_indent(tmp_path: Path) -> None:
    assert shown(tmp_path, 5) == [["3 line3", "4 line4", ">5 line5", "6 line6", "7 line7"]]


@pytest.mark.parametrize(
    ("line", "first", "last"), [(1, ">1 line1", "3 line3"), (20, "18 line18", ">20 line20")]
)
def test_it_stops_at_the_ends_of_the_file(tmp_path: Path, line: int, first: str, last: str) -> None:
    (lines,) = shown(tmp_path, line)
    assert (lines[0], lines[-1]) == (first, last)


def test_a_related_line_six_lines_away_is_in_it_and_one_seven_lines_away_is_not(
    tmp_path: Path,
) -> None:
    (lines,) = shown(tmp_path, 10, near(4))
    assert (lines[0], lines[6], lines[-1]) == ("a4 line4", ">10 line10", "12 line12")
    first, second = shown(tmp_path, 10, near(3))
    assert first[0] == "8 line8"
    assert ">3 line3" in second


def test_several_things_said_of_one_line_are_said_together(tmp_path: Path) -> None:
    at = Place(file="train.py", line=5)
    (found,) = excerpts(at, (near(5, "x"), near(6, "y"), near(6, "z")), str(tmp_path))
    assert found.legend == {">": "x", "a": "y; z"}


@pytest.mark.parametrize("line", [0, 21, 10**9])
def test_a_line_that_is_not_in_the_file_shows_nothing(tmp_path: Path, line: int) -> None:
    assert shown(tmp_path, line) == [[]]


@pytest.mark.parametrize("file", ["", "absent.py", "a\0b", ".", "<string>"])
def test_what_is_no_file_shows_nothing(tmp_path: Path, file: str) -> None:
    assert shown(tmp_path, 1, file=file) == [[]]


def test_a_file_that_is_no_text_or_too_large_shows_nothing(tmp_path: Path, source: Path) -> None:
    source.write_bytes(b"\xff\xfe\n")
    assert shown(tmp_path, 1) == [[]]
    source.write_text("#" * LARGEST)
    assert len(shown(tmp_path, 1)[0]) == 1
    source.write_text("#" * (LARGEST + 1))
    assert shown(tmp_path, 1) == [[]]


def test_escape_sequences_in_the_source_are_shown_as_text(tmp_path: Path, source: Path) -> None:
    source.write_text("x = '\x1b[2J'\n")
    assert shown(tmp_path, 1) == [[">1 x = '\\x1b[2J'"]]
