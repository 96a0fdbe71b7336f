"""The table measures each method by condition, names what is missing, and states its origin."""

import dataclasses
import json

import pytest

from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from stepscope_systems.rgbt_detection.metrics.miss_rate import miss_rate
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.metrics.subsets import SUBSETS
from stepscope_systems.rgbt_detection.metrics.table_formats import (
    table_markdown,
    table_rows,
    table_text,
)
from stepscope_systems.rgbt_detection.metrics.tables import Provenance, Table, condition_table
from tests.stepscope_systems.rgbt_detection.metrics.drawn_results import result

pytestmark = pytest.mark.corpus

PERSON = (100.0, 100.0, 140.0, 200.0)
ELSEWHERE = (400.0, 100.0, 440.0, 200.0)
ORIGIN = Provenance(
    dataset="KAIST test",
    variant="improved test",
    fingerprint="0123456789ab",
    resolution=(640, 512),
    eval_boxes="visible",
    seed=3,
    checkpoint_rule="best validation AP, epoch 11 of 12",
    subset="reasonable",
)
STATED = (
    "KAIST test (improved test)",
    "fingerprint 0123456789ab",
    "640x512",
    "boxes: visible",
    "miss rate: reasonable",
    "seed 3",
    "best validation AP, epoch 11 of 12",
)


def measured(*, day: bool, night: bool) -> list[Result]:
    """Find the person of the day, of the night, and nobody in an empty crossover pair."""
    both = [PERSON, ELSEWHERE]
    return [
        result(both, [(PERSON, 0.9)] if night else [], condition="night", name="1"),
        result(both, [(PERSON, 0.8)] if day else [], condition="day", name="2"),
        result([], [], condition="crossover", name="3"),
    ]


@pytest.fixture(scope="module")
def results() -> dict[str, list[Result]]:
    return {
        "infrared only": measured(day=False, night=True),
        "visible only": measured(day=True, night=False),
        "late fusion": measured(day=False, night=False),
        "full": measured(day=True, night=True),
    }


@pytest.fixture(scope="module")
def table(results: dict[str, list[Result]]) -> Table:
    return condition_table(results, ORIGIN, subset=SUBSETS["reasonable"])


def test_rows_are_ordered_by_condition_then_method(table: Table) -> None:
    conditions = list(dict.fromkeys(row.condition for row in table.rows))
    assert conditions == ["all", "day", "night", "crossover"]
    methods = [row.method for row in table.rows if row.condition == "day"]
    assert methods == ["full", "visible only", "infrared only", "late fusion"]


def test_conditions_of_other_data_sets_follow_the_known_ones() -> None:
    names = ("rain", "unknown", "glare", "night")
    pairs = [result([PERSON], [], condition=each, name=each) for each in names]
    table = condition_table({"full": pairs}, ORIGIN, subset=SUBSETS["reasonable"])
    assert [row.condition for row in table.rows] == ["all", "night", "glare", "rain", "unknown"]


def test_each_row_holds_what_the_metrics_give_for_its_pairs(
    table: Table, results: dict[str, list[Result]]
) -> None:
    for row in table.rows:
        only = None if row.condition == "all" else row.condition
        precision = average_precision(results[row.method], only)
        subset = dataclasses.replace(SUBSETS["reasonable"], condition=only)
        missed = miss_rate(results[row.method], subset)
        assert (row.ap, row.ap50, row.ap75, row.miss_rate) == pytest.approx(
            (precision.ap, precision.ap50, precision.ap75, missed.log_average), nan_ok=True
        )
        assert (row.pairs, row.people, row.people_in_subset) == (
            precision.pairs,
            precision.people,
            missed.people,
        )


def test_a_baseline_that_was_not_measured_is_named(table: Table) -> None:
    assert table.missing == ("plain sum",)
    for text in (table_text(table), table_markdown(table)):
        assert "the gain of fusion is open: plain sum" in " ".join(text.split())


def test_with_every_baseline_nothing_is_said_to_be_missing(
    results: dict[str, list[Result]],
) -> None:
    whole = results | {"plain sum": measured(day=True, night=True)}
    complete = condition_table(whole, ORIGIN, subset=SUBSETS["reasonable"])
    assert complete.missing == ()
    assert "Not measured" not in table_text(complete)


def test_the_origin_stands_beside_the_numbers_in_text_and_markdown(table: Table) -> None:
    for text in (table_text(table), table_markdown(table)):
        flat = " ".join(text.split())
        assert [each for each in STATED if each not in flat] == []


def test_every_json_row_carries_its_origin_and_null_for_no_number(table: Table) -> None:
    rows = json.loads(json.dumps(table_rows(table), allow_nan=False))
    assert len(rows) == len(table.rows)
    first, last = rows[0], rows[-1]
    assert (first["condition"], first["method"], first["fingerprint"]) == (
        "all",
        "full",
        "0123456789ab",
    )
    assert first["resolution"] == "640x512"
    assert first["ap50"] == pytest.approx(51 / 101)
    assert (last["condition"], last["ap"], last["miss_rate"]) == ("crossover", None, None)


def test_text_and_markdown_give_percent_and_a_dash_for_no_number(table: Table) -> None:
    lines = table_markdown(table).splitlines()
    assert lines[0] == "| condition | method | AP | AP50 | AP75 | MR^-2 | pairs | people |"
    assert lines[2] == "| all | full | 50.5 | 50.5 | 50.5 | 50.0 | 3 | 4 |"
    assert lines[14] == "| crossover | full | - | - | - | - | 1 | 0 |"
    row = next(line for line in table_text(table).splitlines() if "full" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        *("all", "full", "50.5", "50.5", "50.5", "50.0", "3", "4")
    ]


def test_the_table_of_the_reference_evaluator_says_so_and_forgets_silent_pairs() -> None:
    pairs = [result([PERSON], [(PERSON, 0.9)], name="1"), result([PERSON], [], name="2")]
    reasonable = SUBSETS["reasonable"]
    mended = condition_table({"full": pairs}, ORIGIN, subset=reasonable)
    compat = condition_table({"full": pairs}, ORIGIN, subset=reasonable, compat=True)
    assert [row.miss_rate for row in mended.rows] == pytest.approx([0.5] * 2)
    assert [row.miss_rate for row in compat.rows] == [0, 0]
    assert "two defects" in table_text(compat)
    assert "two defects" not in table_text(mended)
    assert [row["compat"] for row in table_rows(compat)] == [True] * 2


def test_methods_of_other_pairs_are_refused(results: dict[str, list[Result]]) -> None:
    fewer = results | {"full": results["full"][:2]}
    with pytest.raises(ValueError, match=r"'full' was measured on 2 pairs .* on 3, differing in 3"):
        condition_table(fewer, ORIGIN, subset=SUBSETS["reasonable"])
    turned = results | {"full": results["full"][::-1]}
    with pytest.raises(ValueError, match="differing in their order"):
        condition_table(turned, ORIGIN, subset=SUBSETS["reasonable"])


def test_a_subset_of_one_condition_is_refused(results: dict[str, list[Result]]) -> None:
    with pytest.raises(ValueError, match="subset is of 'day' only"):
        condition_table(results, ORIGIN, subset=SUBSETS["reasonable-day"])
