"""Which boxes of KAIST count: the subsets of its protocol."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Bools, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """The boxes that are to be found; every other one is ignored.

    Heights and margin are pixels of KAIST's 640x512 images, both ends of the range included;
    for images of another scale say so with `scaled`.
    """

    shortest: float
    tallest: float = math.inf
    occlusion: tuple[int, ...]  # of 0 none, 1 partial, 2 heavy
    condition: str | None = None  # day or night; None: every pair
    margin: float = 5  # a box nearer to the border is ignored: [5, 5, 635, 507] at 640x512

    def scaled(self, factor: float) -> "Subset":
        """Return the subset for images that are `factor` times as large: .25 for 160x128."""
        return dataclasses.replace(
            self,
            shortest=self.shortest * factor,
            tallest=self.tallest * factor,
            margin=self.margin * factor,
        )

    def ignored(self, result: Result) -> Bools:
        """Say which of the N boxes of a pair are ignored here."""
        x1, y1, x2, y2 = result.boxes.T
        height = y2 - y1
        outside = (
            (x1 < self.margin)
            | (y1 < self.margin)
            | (x2 > result.width - self.margin)
            | (y2 > result.height - self.margin)
        )
        wrong_height = (height < self.shortest) | (height > self.tallest)
        wrong_occlusion = ~np.isin(result.occlusion, self.occlusion)
        ignored: Bools = result.ignored | outside | wrong_height | wrong_occlusion
        return ignored


REASONABLE = Subset(shortest=55, occlusion=(0, 1))

# Source: the first six, the evaluation script of MLPD (Kim et al., RA-L 2021) for the improved
# test annotations; the others, the settings of KAIST's Matlab wrapper (Li et al., MSDS-RCNN,
# BMVC 2018), after Hwang et al., "Multispectral Pedestrian Detection" (CVPR 2015). The two
# disagree on heavy occlusion: from 50 px in the first, from 1 px in the second.
SUBSETS = {
    "reasonable": REASONABLE,
    "reasonable-day": dataclasses.replace(REASONABLE, condition="day"),
    "reasonable-night": dataclasses.replace(REASONABLE, condition="night"),
    "small": Subset(shortest=50, tallest=75, occlusion=(0, 1)),
    "heavy": Subset(shortest=50, occlusion=(2,)),
    "all": Subset(shortest=20, occlusion=(0, 1, 2)),
    "near": Subset(shortest=115, occlusion=(0,)),
    "medium": Subset(shortest=45, tallest=115, occlusion=(0,)),
    "far": Subset(shortest=1, tallest=45, occlusion=(0,)),
    "occlusion-none": Subset(shortest=1, occlusion=(0,)),
    "occlusion-partial": Subset(shortest=1, occlusion=(1,)),
    "occlusion-heavy": Subset(shortest=1, occlusion=(2,)),
}
