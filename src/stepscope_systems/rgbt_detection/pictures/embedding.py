"""The embeddings of both modalities on a plane, as a picture and nothing more."""

import numpy as np
from matplotlib.collections import LineCollection

from stepscope_systems.rgbt_detection.metrics.embedding_picture import PictureCoordinates
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.figures import (
    QUIET,
    Picture,
    axes,
    chart,
    label,
    legend,
)


def embedding_picture(coordinates: PictureCoordinates) -> Picture:
    """Draw both modalities' points and a thin line between the two of each person."""
    visible, infrared = coordinates.visible, coordinates.infrared
    figure, (place,) = axes(5.0, 4.4)
    ends = np.stack([visible, infrared], axis=1)
    place.add_collection(
        LineCollection(list(ends), colors=QUIET, linewidths=0.6, alpha=0.5, zorder=1)
    )
    styles = (
        ("visible", visible, colours.VISIBLE, "o"),
        ("infrared", infrared, colours.INFRARED, "^"),
    )
    for name, points, colour, marker in styles:
        x, y = points.T
        place.scatter(x, y, s=16, color=colour, marker=marker, linewidths=0, label=name)
    place.set_xticks([])
    place.set_yticks([])
    place.grid(visible=False)
    place.spines[:].set_visible(False)
    label(place, title=coordinates.method)
    legend(place)
    return chart(
        figure,
        description=f"{coordinates.method} of {len(visible)} people by both modalities.",
        caption="Lines join the two points of one person. Only a picture: distances on this plane "
        "measure nothing. What is measured, is measured in the embedding space.",
    )
