"""What a run logged, as charts over its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stepscope_systems.rgbt_detection.metrics.results import Floats
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.figures import (
    QUIET,
    Picture,
    axes,
    chart,
    label,
    legend,
    plain,
)
from stepscope_systems.rgbt_detection.pictures.training_record import Series

_SMOOTHED = 40  # values that a smoothed line keeps apart
_DOTS = 60  # values up to which each has a dot


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart of a training: what it shows, by the names that the run logged."""

    title: str
    unit: str  # of the vertical axis
    names: Mapping[str, str]  # column of the record -> name in the legend
    is_noisy: bool = False  # single steps: a running mean is drawn over them


def panels_of(record: Mapping[str, Series]) -> tuple[Panel, ...]:
    """Return the charts for what this system logs; those without any column are left out."""
    wanted = (
        Panel(title="Losses, unweighted", unit="loss", names=_below("raw/", record), is_noisy=True),
        Panel(
            title="Losses, as they are summed",
            unit="weight x loss",
            names=_below("weighted/", record) | _those(("loss/total",), record),
            is_noisy=True,
        ),
        Panel(title="Learning rate", unit="learning rate", names=_below("lr-", record)),
        Panel(title="Validation", unit="average precision", names=_below("validation/", record)),
        Panel(
            title="Alignment, per training batch",
            unit="share, cosine, loss by ln N",
            names=_those(
                (
                    "macl/recall_at_1",
                    "macl/cosine_positive",
                    "macl/cosine_negative",
                    "macl/loss_by_chance",
                ),
                record,
            ),
            is_noisy=True,
        ),
        Panel(
            title="Learnt scalars",
            unit="value",
            names=_those(("msp/alpha", "macl/temperature", "dhn/fill"), record),
        ),
    )
    return tuple(panel for panel in wanted if panel.names)


def training_picture(record: Mapping[str, Series], panels: Sequence[Panel]) -> Picture:
    """Draw each panel of a training over its optimizer steps.

    Raises:
        ValueError: there is no panel, or the record lacks a column of one.
    """
    if not panels:
        raise ValueError(
            f"there is no chart to draw of {', '.join(sorted(record)) or 'an empty record'}; "
            "expected columns such as raw/loss_cls, lr-AdamW or validation/ap"
        )
    columns = 2
    rows = -(-len(panels) // columns)
    figure, places = axes(10.2, 2.9 * rows, rows=rows, columns=columns)
    for place in places[len(panels) :]:
        place.set_visible(False)
    for place, panel in zip(places, panels, strict=False):
        palette = colours.of_series(list(panel.names.values()))
        for (name, shown), colour in zip(panel.names.items(), palette, strict=True):
            if name not in record:
                raise ValueError(
                    f"the record has no {name!r} for the chart {panel.title!r}; it has "
                    f"{', '.join(sorted(record))}: take panels_of(record), or log it"
                )
            _draw(place, record[name], shown, colour, is_noisy=panel.is_noisy)
        place.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        label(place, title=panel.title, x="step", y=panel.unit)
        legend(place)
    return chart(
        figure,
        description="What the training logged over its steps: "
        + ", ".join(panel.title for panel in panels)
        + ".",
        caption="Where a thin and a thick line lie together: as logged, and its running mean.",
    )


def running_mean(values: Floats, width: int) -> Floats:
    """Return centred means over `width` values (odd), fewer at the ends; NaN and inf left out."""
    is_number = np.isfinite(values)
    window = np.ones(width)
    total = np.convolve(np.where(is_number, values, 0), window, "same")
    count = np.convolve(is_number, window, "same")
    means: Floats = np.full(len(values), np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _draw(place: Axes, series: Series, name: str, colour: str, *, is_noisy: bool) -> None:
    steps, values = series
    bad = steps[~np.isfinite(values)]
    shown = plain(f"{name} ({len(bad)} not finite)" if len(bad) else name)
    if is_noisy and len(values) > 2 * _SMOOTHED:
        place.plot(steps, values, color=colour, linewidth=0.6, alpha=0.35)
        mean = running_mean(values, len(values) // _SMOOTHED | 1)
        place.plot(steps, mean, color=colour, linewidth=1.8, label=shown)
    else:
        marker = "o" if len(values) <= _DOTS else ""
        place.plot(
            steps, values, color=colour, linewidth=1.6, marker=marker, markersize=3, label=shown
        )
    on_the_axis = np.full(len(bad), 0.02)
    place.plot(bad, on_the_axis, "x", color=QUIET, transform=place.get_xaxis_transform())


def _below(prefix: str, record: Mapping[str, Series]) -> dict[str, str]:
    """Return the columns that begin so, each with the rest of its name, in order."""
    found = sorted(name for name in record if name.startswith(prefix))
    return {name: name.removeprefix(prefix).removeprefix("loss_") for name in found}


def _those(names: Sequence[str], record: Mapping[str, Series]) -> dict[str, str]:
    """Return those of the columns that there are, each with the end of its name."""
    return {name: name.rpartition("/")[2].replace("_", " ") for name in names if name in record}
