"""Checkpoints that a framework keeps as the best, and what it is told to choose by."""

import re
from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening

LARGER = re.compile(
    r"acc|accuracy|m?ap|m?iou|f1|auc|auroc|recall|precision|psnr|ssim|bleu|rouge|top1"
)
SMALLER = re.compile(r"loss|err|error|mae|mse|rmse|fid|ppl|perplexity|wer|cer")
TURNED = re.compile(r"neg|negative|minus|inverse|inverted")


class BestKept(Happening, frozen=True, kw_only=True):
    """A checkpoint is the best so far. `at` is the line of the program that trains."""

    by: str  # what chooses, as the program set it: "ModelCheckpoint(monitor='acc', mode='min')"
    metric: str
    larger: bool  # is the better
    right: str  # how the other direction is set: "mode='max'"
    is_from_training: bool  # the training step, and nothing else, logs the metric
    is_of_one_batch: bool  # and what is compared is the last batch's
    validates: bool  # the framework evaluates held-out data too
    decides: bool  # other checkpoints are dropped, and nothing else is told to choose


class BestsKept(Evidence, frozen=True, kw_only=True):
    """The choices of the run, in order."""

    obtained_by: ClassVar[str] = "a checkpoint that Lightning, Transformers or MMEngine keeps"
    happening: ClassVar[type[Happening]] = BestKept
    seen: tuple[tuple[int, BestKept], ...]
    count: int


def larger_is_better(metric: str) -> bool | None:
    """Tell by its name in which direction a metric gets better; None where the name leaves it open.

    >>> larger_is_better("val/Accuracy"), larger_is_better("eval_loss"), larger_is_better("nll")
    (True, False, None)
    """
    words = re.findall(r"[a-z]+\d*", metric.lower())
    larger, smaller, turned = (
        any(each.fullmatch(word) for word in words) for each in (LARGER, SMALLER, TURNED)
    )
    return larger if larger != smaller and not turned else None
