"""Whether two image inputs of a model show the same scene from the same side."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence


class ImagePair(msgspec.Struct, frozen=True, kw_only=True):
    """Two inputs of one size: how well their edges agree, as means over all samples.

    Agreement is the correlation of edge strength over a coarse grid, without what all samples
    have in common. Displaced by a quarter of their size or more, or put beside another sample's,
    images agree by chance only.
    """

    first: str  # names of the inputs
    second: str
    samples: int
    straight: float
    mirrored: float
    upside_down: float
    by_chance: float  # the largest, in size, of all that agree by chance
    own_mirror: float  # of an image with its own mirror image, the larger of the two inputs'
    own_turned: float  # with itself upside down


class ImagePairs(Evidence, frozen=True, kw_only=True):
    """All pairs of image inputs of one size."""

    obtained_by: ClassVar[str] = "two image inputs of one size"
    pairs: tuple[ImagePair, ...]
