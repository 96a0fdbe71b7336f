"""Splits that never cut through a scene: its frames are too alike to test by one another."""

import hashlib
from collections import Counter
from dataclasses import replace

from stepscope_systems.rgbt_detection.data.pairs import PairList


def by_scene(pairs: PairList, *, share: float, seed: int = 0) -> tuple[PairList, PairList]:
    """Return the pairs for training and for validation, whole scenes each, in their order.

    Scenes are taken in an order that the seed gives, each that brings validation nearer to its
    share of the pairs; the same seed gives the same split on every machine.

    Args:
        pairs: pairs of two scenes at least.
        share: of all pairs, wanted for validation; between 0 and 1.
        seed: any number.

    Raises:
        ValueError: the share is not between 0 and 1, or there is only one scene.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; expected between 0 and 1, as 0.1")
    sizes = Counter(pair.scene for pair in pairs.pairs)
    if len(sizes) <= 1:
        raise ValueError(
            f"{pairs.dataset} {pairs.split} has pairs of {len(sizes)} scenes; a split by scene "
            "needs two: give validation data of its own, or use more scenes"
        )
    order = sorted(sizes, key=lambda scene: hashlib.sha256(f"{seed}:{scene}".encode()).digest())
    wanted = share * len(pairs.pairs)
    chosen: set[str] = set()
    count = 0
    for scene in order:
        if abs(count + sizes[scene] - wanted) < abs(count - wanted):
            chosen.add(scene)
            count += sizes[scene]
    if not chosen:  # each scene holds more than twice what is wanted
        chosen = {min(order, key=lambda scene: sizes[scene])}
    if len(chosen) == len(sizes):  # nearly all is wanted
        chosen -= {min(order, key=lambda scene: sizes[scene])}
    how = f"; split by scene, seed {seed}: {_named(chosen)} for validation"
    train = tuple(pair for pair in pairs.pairs if pair.scene not in chosen)
    validation = tuple(pair for pair in pairs.pairs if pair.scene in chosen)
    variant = pairs.variant + how
    return (
        replace(pairs, variant=variant, pairs=train),
        replace(pairs, variant=variant, split="validation", pairs=validation),
    )


def _named(scenes: set[str]) -> str:
    names = sorted(scenes)
    few = 5  # a summary is one line
    more = f" and {len(names) - few} more" if len(names) > few else ""
    return ", ".join(names[:few]) + more
