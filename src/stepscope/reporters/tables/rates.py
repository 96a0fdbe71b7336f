"""How each part of a model is treated, as a table."""

import io
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from stepscope.evidence.rates import Part
from stepscope.reporters.content.printable import one_line

FORMATS = ("text", "json", "markdown")
HEADINGS = ("part", "", "lr", "weight decay", "elements", "norms")
WIDTH = 100


def render(parts: Sequence[Part], form: str) -> str:
    """Return the table in one of `FORMATS`, totals last."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(_json(parts)), indent=2).decode() + "\n"
    cells = [_cells(part) for part in parts]
    return _markdown(cells, parts) if form == "markdown" else _text(cells, parts)


def _cells(part: Part) -> tuple[str, ...]:
    numbers = ("-", "-") if not part.lrs else (_several(part.lrs), _several(part.weight_decays))
    return (one_line(part.module), part.state, *numbers, f"{part.elements:,}", part.norms)


def _several(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _totals(parts: Sequence[Part]) -> str:
    elements, frozen = (sum(getattr(p, name) for p in parts) for name in ("elements", "frozen"))
    left_out = sum(part.left_out for part in parts)
    said = f"{elements:,} elements: {elements - frozen - left_out:,} trained, {frozen:,} frozen"
    return said + (f", {left_out:,} in no group" if left_out else "")


def _text(cells: Sequence[Sequence[str]], parts: Sequence[Part]) -> str:
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, 2, 0, 0))
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if number in (2, 3, 4) else "left")
    for row in cells:
        table.add_row(*row)
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False, markup=False)
    console.print(table)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    return "\n".join([*lines, "", _totals(parts), ""])


def _markdown(cells: Sequence[Sequence[str]], parts: Sequence[Part]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(c.replace("|", r"\|") for c in row) + " |" for row in cells]
    return "\n".join([*lines, "", _totals(parts), ""])


def _json(parts: Sequence[Part]) -> dict[str, object]:
    return {
        "version": 1,
        "parts": [{**msgspec.to_builtins(part), "state": part.state} for part in parts],
    }
