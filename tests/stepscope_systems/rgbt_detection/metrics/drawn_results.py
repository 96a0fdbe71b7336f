"""Results written out by hand, and drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.metrics.results import Result

XYXY = tuple[float, float, float, float]
WIDTH, HEIGHT = 640, 512


def result(
    boxes: list[XYXY],
    detections: list[tuple[XYXY, float]],
    *,
    ignore: list[bool] | None = None,
    occlusion: list[int] | None = None,
    label: list[str] | None = None,
    condition: str = "day",
    name: str = "1",
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Result:
    """Build a pair; people are unoccluded and not ignored unless told."""
    n = len(boxes)
    return Result(
        name=name,
        condition=condition,
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        ignore=np.array(ignore or [False] * n, dtype=np.bool_),
        occlusion=np.array(occlusion or [0] * n, dtype=np.int64),
        label=tuple(label or ["person"] * n),
        detected=np.array([box for box, _ in detections], dtype=np.float64).reshape(-1, 4),
        scores=np.array([score for _, score in detections], dtype=np.float64),
        width=size[0],
        height=size[1],
    )


@st.composite
def _box(draw: st.DrawFn) -> XYXY:
    # Few positions and sizes, so that boxes overlap, share edges and reach every limit.
    x, y = draw(st.sampled_from([3, 5, 100, 110, 120])), draw(st.sampled_from([5, 100, 108, 116]))
    width = draw(st.sampled_from([20, 24, 40]))
    height = draw(st.sampled_from([19, 20, 44, 45, 50, 54, 55, 60, 75, 76, 115, 120]))
    return (float(x), float(y), float(x + width), float(y + height))


@st.composite
def _pair(draw: st.DrawFn) -> Result:
    boxes = draw(st.lists(_box(), max_size=4))
    n = len(boxes)
    score = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])  # ties are frequent
    return result(
        boxes,
        draw(
            st.lists(
                st.tuples(_box() | st.sampled_from(boxes or [(5, 5, 30, 80)]), score), max_size=6
            )
        ),
        ignore=draw(st.lists(st.sampled_from([False, False, True]), min_size=n, max_size=n)),
        occlusion=draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)),
        label=draw(
            st.lists(st.sampled_from(["person", "person", "people"]), min_size=n, max_size=n)
        ),
        condition=draw(st.sampled_from(["day", "night"])),
    )


DATA_SETS = st.lists(_pair(), min_size=1, max_size=5)
