"""What freezing saves, as tables of medians and of ratios with their spread."""

from collections.abc import Sequence
from operator import attrgetter, methodcaller

import msgspec

from stepscope.evidence.savings import Measured, Ratio, Variant
from stepscope.reporters.content.printable import one_line
from stepscope.reporters.tables import grid

WIDTH = 200  # more than the columns take: a number is never cut
MIB = 1 << 20
MEDIANS = (
    "variant",
    "step, ms",
    "forward, ms",
    "backward, ms",
    "optimizer, ms",
    "peak, MiB",
    "net, MiB",
    "gradients, MiB",
    "optimizer, MiB",
)
RATIOS = (
    "variant",
    "step / lr 0",
    "step / full",
    "backward / full",
    "net memory / lr 0",
    "net memory / full",
)
Rows = list[tuple[str, ...]]


def render(measured: Measured, form: str) -> str:
    """Return the tables in one of `grid.FORMATS`, with the prediction beside the measurement."""
    if form == "json":
        return grid.json(_json(measured))
    variants = [each for each in Variant if measured.of(each)]
    table = grid.markdown if form == "markdown" else _text
    medians = table(
        MEDIANS, [_medians(measured, each) for each in variants], range(1, len(MEDIANS))
    )
    ratios = table(RATIOS, [_ratios(measured, each) for each in variants], range(1, len(RATIOS)))
    return "\n".join(
        [*_heading(measured), "", *medians, "", *ratios, "", *_remarks(measured, form), ""]
    )


def _heading(measured: Measured) -> list[str]:
    patterns = ", ".join(one_line(each) for each in measured.patterns)
    return [f"{one_line(measured.target)}, frozen: {patterns}; {measured.device}"]


def _medians(measured: Measured, variant: Variant) -> tuple[str, ...]:
    phases = ("total", "forward", "backward", "optimizer")
    sizes = ("peak_bytes", "net_bytes", "gradient_bytes", "state_bytes")
    return (
        variant.value,
        *(f"{measured.typical(variant, methodcaller('seconds', p)) * 1e3:.1f}" for p in phases),
        *(f"{measured.typical(variant, attrgetter(name)) / MIB:.1f}" for name in sizes),
    )


def _ratios(measured: Measured, variant: Variant) -> tuple[str, ...]:
    return (
        variant.value,
        _spread(measured.time(variant, Variant.ZERO)),
        _spread(measured.time(variant, Variant.FULL)),
        _spread(measured.time(variant, Variant.FULL, "backward")),
        _spread(measured.memory(variant, Variant.ZERO)),
        _spread(measured.memory(variant, Variant.FULL)),
    )


def _spread(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})"


def _remarks(measured: Measured, form: str) -> list[str]:
    said = []
    step = measured.time(Variant.FROZEN, Variant.FULL)
    backward = measured.time(Variant.FROZEN, Variant.FULL, "backward")
    if measured.predicted is not None and step is not None and backward is not None:
        predicted = measured.predicted
        said.append(
            f"The part takes {predicted.share:.0%} of the forward. Predicted: a step "
            f"{predicted.speed_up:.2f}x as fast as full tuning, {predicted.backward:.2f} of its "
            f"backward; measured {1 / step.median:.2f}x ({1 / step.most:.2f}-"
            f"{1 / step.least:.2f}), {_spread(backward)}."
        )
        if not predicted.is_prefix:
            said.append(
                "Something that trains feeds the part: gradients still pass through it, so that "
                "most of the backward and of the memory stays."
            )
    if measured.of(Variant.CACHED):
        said.append(
            "The cached features are those of the first batch, and cost nothing to read: a lower "
            "bound of what a cache on disk gives."
        )
    said.append(
        "Ratios: median and range over rounds, each round in processes of its own. Net memory is "
        "without what was held before the model was made."
    )
    if not all(each.is_peak_exact for each in measured.samples):
        said.append("This system does not tell its peak: memory was read after each step only.")
    said += [f"{v.value}: {one_line(measured.error(v))}" for v in Variant if measured.error(v)]
    if measured.is_loaded:
        said.append(
            f"The machine was at work for others ({measured.others:.1f} of {measured.processors} "
            "processors): measure again when it is idle."
        )
    return [f"- {each}" for each in said] if form == "markdown" else said


def _text(headings: Sequence[str], rows: Rows, right: range) -> list[str]:
    shown = [heading.replace(", ", "\n").replace(" / ", "\n/ ") for heading in headings]
    return grid.text(shown, rows, right, gap=1, width=WIDTH)


def _json(measured: Measured) -> dict[str, object]:
    ratios = {
        one.value: {
            against.value: {
                "step": measured.time(one, against),
                "backward": measured.time(one, against, "backward"),
                "memory": measured.memory(one, against, net=False),
                "net memory": measured.memory(one, against),
            }
            for against in (Variant.ZERO, Variant.FULL)
        }
        for one in Variant
        if measured.of(one)
    }
    facts = {"version": 1, **msgspec.to_builtins(measured), "is_loaded": measured.is_loaded}
    return {**facts, "ratios": msgspec.to_builtins(ratios)}
