"""The two domains: what stage 1 learns on, and what stage 2 is carried over to."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """How scenes look, in numbers. Lengths are pixels, intensities lie in [0, 1]."""

    name: str
    width: int = 160
    height: int = 128
    smallest: float  # height of a person
    largest: float
    people: tuple[float, ...]  # shares of scenes' frames with 0, 1, 2, ... people
    conditions: tuple[tuple[str, float], ...]  # share of scenes
    horizon: tuple[float, float]  # of the image's height, from the top
    warmth: float  # of a person over the background at night, in infrared
    noise: float  # deviation in infrared
    decoys: int  # most of them per frame and modality
    frames: int = 12  # per scene
    misalignment: int = 0  # largest shift of the infrared image
    missing: float = 0.0  # share of frames whose infrared image is blank
    has_shared_cue: bool = True  # False: the infrared scene is another one altogether


DOMAINS = MappingProxyType(
    {
        # A camera high above a street, mostly at night, people near: as in LLVIP.
        "a": Domain(
            name="synthetic-a",
            smallest=30,
            largest=64,
            people=(0.05, 0.2, 0.3, 0.25, 0.15, 0.05),
            conditions=(("night", 0.5), ("day", 0.3), ("glare", 0.1), ("crossover", 0.1)),
            horizon=(0.0, 0.12),
            warmth=0.45,
            noise=0.03,
            decoys=3,
        ),
        # A driving view with small people and a weaker sensor: as in KAIST.
        "b": Domain(
            name="synthetic-b",
            smallest=18,
            largest=48,
            people=(0.05, 0.25, 0.3, 0.25, 0.15),
            conditions=(("day", 0.5), ("night", 0.4), ("glare", 0.05), ("crossover", 0.05)),
            horizon=(0.3, 0.45),
            warmth=0.32,
            noise=0.05,
            decoys=3,
        ),
    }
)
