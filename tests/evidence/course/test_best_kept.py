"""What the name of a metric says of it."""

import pytest

from stepscope.evidence.course.best_kept import larger_is_better


@pytest.mark.parametrize(
    ("metric", "larger"),
    [
        ("val_acc", True),
        ("eval_accuracy", True),
        ("coco/bbox_mAP", True),
        ("AUROC", True),
        ("acc@1", True),
        ("val_loss", False),
        ("eval_wer", False),
        ("word error rate", False),
        ("accuracy_loss", None),  # either
        ("neg_loss", None),
        ("macro", None),
        ("score", None),
        ("lossless", None),
    ],
)
def test_a_name_says_in_which_direction_a_metric_gets_better(
    metric: str, *, larger: bool | None
) -> None:
    assert larger_is_better(metric) is larger
