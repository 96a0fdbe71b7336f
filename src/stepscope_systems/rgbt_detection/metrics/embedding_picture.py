"""Where the points of a t-SNE picture lie. A picture: nothing may be measured in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepscope_systems.rgbt_detection.metrics.alignment import refuse_fewer_than_30
from stepscope_systems.rgbt_detection.metrics.results import Floats

PERPLEXITY = 30.0  # scikit-learn's own


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCoordinates:
    """Points of a plane without unit or meaning of their distances."""

    visible: Floats  # (N, 2)
    infrared: Floats  # (N, 2)
    method: str  # "t-SNE, perplexity 30, seed 0"


def picture_coordinates(
    z_visible: ArrayLike, z_infrared: ArrayLike, *, seed: int = 0
) -> PictureCoordinates:
    """Lay (N, D) embeddings of both modalities out in one plane, by cosine distance.

    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE" (JMLR 2008).

    Raises:
        TooFewPeopleError: N is below 30; the layout of a few points is the same for any.
    """
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]  # a second to import

    visible, infrared = np.asarray(z_visible), np.asarray(z_infrared)
    refuse_fewer_than_30(min(len(visible), len(infrared)))
    both = np.concatenate([visible, infrared]).astype(np.float32)
    layout = TSNE(2, perplexity=PERPLEXITY, metric="cosine", init="random", random_state=seed)
    points = layout.fit_transform(both).astype(np.float64)
    return PictureCoordinates(
        visible=points[: len(visible)],
        infrared=points[len(visible) :],
        method=f"t-SNE, perplexity {PERPLEXITY:g}, seed {seed}",
    )
