"""Printed tables hold the measured figures, and a dash where there is nothing to measure."""

from stepscope_systems.rgbt_detection.metrics.alignment import Alignment, Retrieval
from stepscope_systems.rgbt_detection.metrics.tables import Provenance, Row, Table
from stepscope_systems.rgbt_detection.pictures.result_tables import alignment_table, result_tables

NAN = float("nan")
PROVENANCE = Provenance(
    dataset="LLVIP test",
    variant="annotations of 2023-02-21",
    fingerprint="0a1b2c3d4e5f",
    resolution=(640, 512),
    eval_boxes="visible",
    seed=3,
    checkpoint_rule="best validation AP",
    subset="reasonable",
)


def row(condition: str, method: str, ap: float, missed: float) -> Row:
    return Row(condition=condition, method=method, ap=ap, ap50=2 * ap, ap75=ap / 2,
               miss_rate=missed, pairs=1200, people=30, people_in_subset=7)  # fmt: skip


def test_methods_stand_together_and_conditions_below_them() -> None:
    table = Table(
        provenance=PROVENANCE,
        rows=(row("all", "full", 0.4, 0.2412), row("all", "visible only", 0.1, 0.7),
              row("fog", "full", NAN, NAN), row("fog", "visible only", 0.1, 0.7),
              row("night", "full", 0.2, 0.6), row("night", "visible only", 0.3, 0.5)),
        missing=("plain sum",),
    )  # fmt: skip
    everything, ap50, miss_rate, conditions = result_tables(table)
    assert everything.rows == (
        ("full", "0.400", "0.800", "0.200", "24.12"),
        ("visible only", "0.100", "0.200", "0.050", "70.00"),
    )
    assert everything.strong == {0}
    assert everything.note.startswith("Not measured: plain sum. 1,200 pairs, 30 people, 7 of them")
    assert "fingerprint 0a1b2c3d4e5f; 640x512" in everything.note
    assert conditions.rows == (
        ("fog", "1,200", "30", "full", "-", "-", "-", "-"),
        ("", "", "", "visible only", "0.100", "0.200", "0.050", "70.00"),
        ("night", "1,200", "30", "full", "0.200", "0.400", "0.100", "60.00"),
        ("", "", "", "visible only", "0.300", "0.600", "0.150", "50.00"),
    )
    assert ap50.columns == miss_rate.columns == ("condition", "full", "visible only")
    assert ap50.rows == (("fog", "-", "0.200"), ("night", "0.400", "0.600"))
    assert miss_rate.rows == (("fog", "-", "70.00"), ("night", "60.00", "50.00"))
    assert (everything.is_wide, conditions.is_wide) == (False, True)


def test_alignment_stands_beside_chance() -> None:
    table = alignment_table(
        Alignment(
            rows=80,
            people=40,
            gallery=32,
            drawn=Retrieval(visible_to_infrared=0.5, infrared_to_visible=0.25, chance=1 / 32),
            draws=(0.5, 0.25),
            everybody=Retrieval(visible_to_infrared=0.4, infrared_to_visible=0.3, chance=1 / 40),
            cosine_positive=0.625,
            cosine_negative=-0.125,
            null_mean=0.03,
            null_95=0.0625,
            p=0.001,
        )
    )
    assert table.rows == (
        ("R@1 of 32, visible to infrared", "0.500", "0.031"),
        ("R@1 of 32, infrared to visible", "0.250", "0.031"),
        ("R@1 of all, visible to infrared", "0.400", "0.0250"),
        ("R@1 of all, infrared to visible", "0.300", "0.0250"),
        ("mean cosine, same person", "+0.625", "-0.125"),
    )
    assert "mean of 2 draws" in table.note
    assert "p = 0.001" in table.note
