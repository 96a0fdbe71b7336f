"""Precision against recall, and the miss rate against false alarms, of a detector and others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from stepscope_systems.rgbt_detection.metrics.average_precision import AveragePrecision
from stepscope_systems.rgbt_detection.metrics.miss_rate import FPPI_POINTS, MissRate
from stepscope_systems.rgbt_detection.metrics.results import Floats
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.figures import (
    Picture,
    axes,
    chart,
    label,
    legend_below,
)
from stepscope_systems.rgbt_detection.pictures.figures import plain as unformatted

_NO_FALSE_ALARM = 1e-4  # stands for zero on a logarithmic axis: left of all that is shown
_MANY_FALSE_ALARMS = 10.0  # right of it
_LOWEST_MISS = 0.01  # the end of the axis; lower rates are drawn on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: of the detector, or of a baseline beside it."""

    name: str  # "fused", "visible only": the name begins with the modality that it is alone in
    x: Floats  # (n,)
    y: Floats  # (n,)
    score: str  # what the curve amounts to: "AP50 0.826"
    points: tuple[Floats, Floats] | None = None  # x and y of what the score is taken from


def precision_recall_line(name: str, precision: AveragePrecision) -> Line:
    """Return the curve at IoU .5."""
    score = f"AP50 {precision.ap50:.3f}"
    return Line(name=name, x=precision.recall, y=precision.precision, score=score)


def miss_rate_line(name: str, missed: MissRate) -> Line:
    """Return the curve, from no detection at all (everybody is missed) to all of them."""
    end = missed.rate[-1:] if len(missed.rate) else np.ones(1)
    return Line(
        name=name,
        x=np.concatenate([[_NO_FALSE_ALARM], missed.fppi, [_MANY_FALSE_ALARMS]]),
        y=np.concatenate([[1.0], missed.rate, end]),
        score=f"MR {100 * missed.log_average:.2f} %",
        points=(FPPI_POINTS, missed.at_points),
    )


def precision_recall_picture(lines: Sequence[Line]) -> Picture:
    """Draw precision against recall at IoU .5, both in [0, 1]."""
    figure, (place,) = axes(5.0, 4.1)
    _draw(place, lines)
    place.set(xlim=(0, 1), ylim=(0, 1.02))
    label(place, title="Precision and recall, IoU 0.5", x="recall", y="precision")
    legend_below(figure)
    return chart(figure, description=f"Precision against recall at IoU 0.5: {_told(lines)}.")


def miss_rate_picture(lines: Sequence[Line]) -> Picture:
    """Draw the miss rate against false positives per image, both logarithmic."""
    figure, (place,) = axes(5.0, 4.1)
    drawn = [
        Line(
            name=line.name,
            x=line.x.clip(_NO_FALSE_ALARM),
            y=line.y.clip(_LOWEST_MISS),
            score=line.score,
            points=line.points,
        )
        for line in lines
    ]
    _draw(place, drawn, is_step=True)
    place.set(
        xscale="log",
        yscale="log",
        xlim=(FPPI_POINTS[0] * 0.94, FPPI_POINTS[-1] * 1.06),
        ylim=(_LOWEST_MISS * 0.96, 1.05),
    )
    place.xaxis.set_major_locator(FixedLocator([0.01, 0.0316, 0.1, 0.316, 1.0]))
    place.yaxis.set_major_locator(FixedLocator([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]))
    for axis in (place.xaxis, place.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    label(place, title="Miss rate", x="false positives per image", y="share of people missed")
    legend_below(figure)
    return chart(
        figure,
        description=f"Miss rate against false positives per image: {_told(lines)}.",
        caption="MR: the geometric mean of the nine points.",
    )


def _draw(place: Axes, lines: Sequence[Line], *, is_step: bool = False) -> None:
    palette = colours.of_series([line.name for line in lines])
    style = "steps-post" if is_step else "default"
    for line, colour in zip(lines, palette, strict=True):
        shown = unformatted(f"{line.name}  {line.score}")
        place.plot(line.x, line.y, color=colour, linewidth=1.7, label=shown, drawstyle=style)
        if line.points is not None:
            x, y = line.points
            place.plot(x, y.clip(_LOWEST_MISS), "o", color=colour, markersize=3.5, clip_on=False)


def _told(lines: Sequence[Line]) -> str:
    return "; ".join(f"{line.name}, {line.score}" for line in lines)
