"""Which box of one modality is the same object as which box of the other."""

from collections.abc import Sequence

from stepscope_systems.rgbt_detection.data.formats.objects import Annotated
from stepscope_systems.rgbt_detection.data.pairs import Box

# Half of the union, as detections are counted; aligned sensors shift a person by less.
LEAST_OVERLAP = 0.5
Aligned = tuple[list[Annotated], list[Annotated]]


def overlap(first: Box, second: Box) -> float:
    """Return intersection over union; boxes without an area overlap nothing."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if not (width > 0 and height > 0):
        return 0.0
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (both - width * height)


def aligned(
    visible: Sequence[Annotated], infrared: Sequence[Annotated], *, least: float
) -> Aligned:
    """Return both lists in one order; who has no counterpart gets one without a box.

    The pair of highest overlap first, down to `least`, among boxes of one class.
    """
    candidates = sorted(
        (
            (-overlap(first.box, second.box), i, j)
            for i, first in enumerate(visible)
            for j, second in enumerate(infrared)
            if first.box and second.box and first.label == second.label
        ),
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for negative, i, j in candidates:
        if -negative >= least and i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    return in_one_order(visible, infrared, partner)


def in_one_order(
    visible: Sequence[Annotated], infrared: Sequence[Annotated], partner: dict[int, int]
) -> Aligned:
    """Return both lists in the order of the visible one, those seen by infrared alone last."""
    first, second = list(visible), []
    for i, stated in enumerate(visible):
        second.append(infrared[partner[i]] if i in partner else _unseen(stated))
    alone = [stated for j, stated in enumerate(infrared) if j not in set(partner.values())]
    return first + [_unseen(stated) for stated in alone], second + alone


def _unseen(stated: Annotated) -> Annotated:
    return Annotated(box=None, label=stated.label)
