"""The measured tables, in words."""

import math

from stepscope_systems.rgbt_detection.metrics.alignment import Alignment
from stepscope_systems.rgbt_detection.metrics.tables import EVERY, Row, Table
from stepscope_systems.rgbt_detection.pictures.content import PrintedTable

_MEASURES = ("AP", "AP50", "AP75", "miss rate %")
_AP50, _MISS_RATE = 1, 3  # places in the measures
_OWN = "full"  # the method that the report is about


def result_tables(table: Table) -> tuple[PrintedTable, ...]:
    """Return the methods on all pairs with what they were measured on, then by condition.

    The conditions come thrice: AP50 and miss rate with the methods side by side, then everything.
    """
    everything = [row for row in table.rows if row.condition == EVERY]
    parts = [row for row in table.rows if row.condition != EVERY]
    missing = f"Not measured: {', '.join(table.missing)}. " if table.missing else ""
    return (
        PrintedTable(
            title="Against the baselines, all pairs",
            columns=("detector", *_MEASURES),
            rows=tuple((row.method, *_measures(row)) for row in everything),
            strong=frozenset(each for each, row in enumerate(everything) if row.method == _OWN),
            note=f"{missing}{_counted(everything)} {table.provenance}.",
        ),
        _side_by_side("AP50 by condition", parts, _AP50),
        _side_by_side("Miss rate by condition, %", parts, _MISS_RATE),
        PrintedTable(
            title="Everything by condition",
            columns=("condition", "pairs", "people", "detector", *_MEASURES),
            rows=tuple(
                _of_condition(row, parts[place - 1 : place]) for place, row in enumerate(parts)
            ),
            strong=frozenset(each for each, row in enumerate(parts) if row.method == _OWN),
        ),
    )


def alignment_table(measured: Alignment) -> PrintedTable:
    """Return what the embeddings agree on beside what shuffled people give."""
    drawn, everybody = measured.drawn, measured.everybody
    chances = f"{drawn.chance:.3f}", f"{everybody.chance:.4f}"
    return PrintedTable(
        title=f"In the embedding space, {measured.people:,} people",
        columns=("quantity", "measured", "by chance"),
        rows=(
            (f"R@1 of {measured.gallery}, visible to infrared",
             f"{drawn.visible_to_infrared:.3f}", chances[0]),
            (f"R@1 of {measured.gallery}, infrared to visible",
             f"{drawn.infrared_to_visible:.3f}", chances[0]),
            ("R@1 of all, visible to infrared",
             f"{everybody.visible_to_infrared:.3f}", chances[1]),
            ("R@1 of all, infrared to visible",
             f"{everybody.infrared_to_visible:.3f}", chances[1]),
            ("mean cosine, same person", f"{measured.cosine_positive:+.3f}",
             f"{measured.cosine_negative:+.3f}"),
        ),
        note=f"R@1 of {measured.gallery} is the mean of {len(measured.draws)} draws. With people "
        f"shuffled it is {measured.null_mean:.3f}, and {measured.null_95:.3f} in one of 20 cases; "
        f"p = {measured.p:.3g}. The cosine by chance is that of two people.",
    )  # fmt: skip


def _side_by_side(title: str, rows: list[Row], measure: int) -> PrintedTable:
    """Return one measure, conditions below and methods beside each other."""
    methods = list(dict.fromkeys(row.method for row in rows))
    conditions = list(dict.fromkeys(row.condition for row in rows))
    cells = {(row.condition, row.method): _measures(row)[measure] for row in rows}
    return PrintedTable(
        title=title,
        columns=("condition", *methods),
        rows=tuple(
            (condition, *(cells[condition, method] for method in methods))
            for condition in conditions
        ),
    )


def _of_condition(row: Row, before: list[Row]) -> tuple[str, ...]:
    """Return a row that names its condition and its counts where they begin."""
    counts = (row.condition, f"{row.pairs:,}", f"{row.people:,}")
    if [each.condition for each in before] == [row.condition]:
        counts = ("", "", "")
    return (*counts, row.method, *_measures(row))


def _measures(row: Row) -> tuple[str, ...]:
    shares = (f"{row.ap:.3f}", f"{row.ap50:.3f}", f"{row.ap75:.3f}", f"{100 * row.miss_rate:.2f}")
    values = (row.ap, row.ap50, row.ap75, row.miss_rate)
    return tuple(
        "-" if math.isnan(value) else share for value, share in zip(values, shares, strict=True)
    )


def _counted(rows: list[Row]) -> str:
    row = rows[0]
    return (
        f"{row.pairs:,} pairs, {row.people:,} people, {row.people_in_subset:,} of them in the "
        "subset of the miss rate."
    )
