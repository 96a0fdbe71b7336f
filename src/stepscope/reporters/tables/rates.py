"""How each part of a model is treated, as a table."""

from collections.abc import Sequence

import msgspec

from stepscope.evidence.rates import Part
from stepscope.reporters.content.printable import one_line
from stepscope.reporters.tables import grid

HEADINGS = ("part", "", "lr", "weight decay", "elements", "norms")
RIGHT = (2, 3, 4)  # columns of numbers


def render(parts: Sequence[Part], form: str) -> str:
    """Return the table in one of `grid.FORMATS`, totals last."""
    if form == "json":
        return grid.json(_json(parts))
    table = grid.markdown if form == "markdown" else grid.text
    lines = table(HEADINGS, [_cells(part) for part in parts], RIGHT)
    return "\n".join([*lines, "", _totals(parts), ""])


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


def _json(parts: Sequence[Part]) -> dict[str, object]:
    return {
        "version": 1,
        "parts": [{**msgspec.to_builtins(part), "state": part.state} for part in parts],
    }
