"""What freezing saves, as a table of ratios with their spread."""

import io

import msgspec
from rich.console import Console
from rich.table import Table

from stepscope.evidence.savings import Measured, Ratio, Variant
from stepscope.reporters.content.printable import one_line

FORMATS = ("text", "json", "markdown")
WIDTH = 100
MIB = 1 << 20
IN_TEXT = (0, 1, 2, 3, 6, 7)  # columns that fit into 100
HEADINGS = (
    "variant",
    "step, s",
    "step / lr 0",
    "backward / full",
    "peak MiB",
    "memory / lr 0",
    "net memory / lr 0",
    "optimizer MiB",
)


def render(measured: Measured, form: str) -> str:
    """Return the table in one of `FORMATS`, with the prediction beside the measurement."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(_json(measured)), indent=2).decode() + "\n"
    cells = [_cells(measured, each) for each in Variant if measured.of(each)]
    table = _markdown(cells) if form == "markdown" else _text(cells)
    return "\n".join([*_heading(measured), "", *table, "", *_remarks(measured), ""])


def _heading(measured: Measured) -> list[str]:
    patterns = ", ".join(one_line(each) for each in measured.patterns)
    return [f"{one_line(measured.target)}, frozen: {patterns}; {measured.device}"]


def _cells(measured: Measured, variant: Variant) -> tuple[str, ...]:
    samples = measured.of(variant)
    seconds = sorted(each.seconds("total") for each in samples)
    middle = samples[len(samples) // 2]
    return (
        variant.value,
        f"{seconds[len(seconds) // 2]:.3f}",
        _ratio(measured.time(variant, Variant.ZERO)),
        _ratio(measured.time(variant, Variant.FULL, "backward")),
        f"{middle.peak_bytes / MIB:.0f}",
        _ratio(measured.memory(variant, Variant.ZERO, net=False)),
        _ratio(measured.memory(variant, Variant.ZERO)),
        f"{middle.state_bytes / MIB:.1f}",
    )


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})"


def _remarks(measured: Measured) -> list[str]:
    said = []
    frozen = measured.time(Variant.FROZEN, Variant.FULL)
    if measured.predicted is not None and frozen is not None:
        predicted = measured.predicted
        said.append(
            f"The part takes {predicted.share:.0%} of the forward. Predicted: a step "
            f"{predicted.speed_up:.2f}x as fast as full tuning; measured "
            f"{1 / frozen.median:.2f}x ({1 / frozen.most:.2f}-{1 / frozen.least:.2f})."
        )
        if not predicted.is_prefix:
            said.append("Something that trains feeds the part: gradients still pass through it.")
    if measured.of(Variant.CACHED):
        said.append(
            "The cached features are those of the first batch, and cost nothing to read: a lower "
            "bound of what a cache on disk gives."
        )
    said.append(
        "Ratios: median and range over rounds, each round in processes of its own. Net memory is "
        "without what the imports hold."
    )
    said += [f"{v.value}: {measured.error(v)}" for v in Variant if measured.error(v)]
    if measured.is_loaded:
        said.append(
            f"The machine was at work for others ({measured.others:.1f} of {measured.processors} "
            "processors): measure again when it is idle."
        )
    return said


def _text(cells: list[tuple[str, ...]]) -> list[str]:
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, 2, 0, 0))
    for number in IN_TEXT:
        table.add_column(HEADINGS[number], justify="right" if number else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(row[number] for number in IN_TEXT))
    file = io.StringIO()
    Console(file=file, width=WIDTH, highlight=False, markup=False).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def _markdown(cells: list[tuple[str, ...]]) -> list[str]:
    rows = [f"| {' | '.join(row)} |" for row in cells]
    return [f"| {' | '.join(HEADINGS)} |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|", *rows]


def _json(measured: Measured) -> dict[str, object]:
    return {"version": 1, **msgspec.to_builtins(measured)}
