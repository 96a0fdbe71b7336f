"""Rows under headings, as text and as Markdown, and facts as JSON."""

import io
from collections.abc import Collection, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

FORMATS = ("text", "json", "markdown")
WIDTH = 100


def text(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    *,
    gap: int = 2,
    width: int = WIDTH,
) -> list[str]:
    """Return lines of at most `width`, with `gap` blanks between columns.

    `right` are columns of numbers: flush right, and never broken. Others are folded.
    """
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, gap, 0, 0))
    for at, heading in enumerate(headings):
        is_number = at in right
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    file = io.StringIO()
    Console(file=file, width=width, highlight=False, markup=False).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def markdown(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()
) -> list[str]:
    """Return lines; a bar inside a cell is escaped."""
    marks = ("---:" if at in right else "---" for at in range(len(headings)))
    cells = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return [
        f"| {' | '.join(headings)} |",
        f"|{'|'.join(marks)}|",
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


def json(facts: object) -> str:
    """Return indented JSON that ends with a newline."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=2).decode() + "\n"
