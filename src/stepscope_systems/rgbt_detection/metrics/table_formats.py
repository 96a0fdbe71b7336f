"""A table as text for the terminal, as Markdown, and as rows of JSON."""

import dataclasses
import io
import math

from rich.console import Console
from rich.table import Table as Grid

from stepscope_systems.rgbt_detection.metrics.tables import Row, Table

HEADINGS = ("condition", "method", "AP", "AP50", "AP75", "MR^-2", "pairs", "people")
NOTE = "AP in percent, higher is better; MR^-2 in percent, lower is better."
Cell = str | int | float | None


def table_text(table: Table, *, width: int = 100) -> str:
    """Write the table for a terminal, in plain characters."""
    grid = Grid(*HEADINGS[:2], title_justify="left")
    for heading in HEADINGS[2:]:
        grid.add_column(heading, justify="right")
    for number, row in enumerate(table.rows):
        last = table.rows[number + 1 : number + 2]
        grid.add_row(*_cells(row), end_section=bool(last) and last[0].condition != row.condition)
    written = io.StringIO()
    console = Console(file=written, width=width, color_system=None)
    console.print(grid)
    for line in _notes(table):
        console.print(line, highlight=False, markup=False)
    return written.getvalue()


def table_markdown(table: Table) -> str:
    """Write the table in Markdown, the figures aligned to the right."""
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * 2}{'---:|' * (len(HEADINGS) - 2)}",
        *(f"| {' | '.join(_cells(row))} |" for row in table.rows),
        "",
        *(f"{line}  " for line in _notes(table)),
    ]
    return "\n".join(lines) + "\n"


def table_rows(table: Table) -> list[dict[str, Cell]]:
    """Return one flat record a row, each with the whole provenance; NaN becomes null."""
    width, height = table.provenance.resolution
    about: dict[str, Cell] = dataclasses.asdict(table.provenance)
    about |= {"resolution": f"{width}x{height}", "compat": table.compat}
    return [{**_record(row), **about} for row in table.rows]


def _record(row: Row) -> dict[str, Cell]:
    record: dict[str, Cell] = dataclasses.asdict(row)
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in record.items()
    }


def _cells(row: Row) -> list[str]:
    shares = (row.ap, row.ap50, row.ap75, row.miss_rate)
    figures = ["-" if math.isnan(share) else f"{100 * share:.1f}" for share in shares]
    return [row.condition, row.method, *figures, f"{row.pairs:,}", f"{row.people:,}"]


def _notes(table: Table) -> list[str]:
    notes = [NOTE, str(table.provenance)]
    if table.compat:
        notes.append(
            "MR^-2 with the reference evaluator's two defects, to compare with its figures."
        )
    if table.missing:
        notes.append(f"Not measured, so the gain of fusion is open: {', '.join(table.missing)}.")
    return notes
