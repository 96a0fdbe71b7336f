"""Whether the embeddings of a person agree across modalities, and more than chance would have it.

Everything is measured between the embeddings themselves. Distances in a t-SNE plane depend on
the number of points and on the seed: they say nothing here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stepscope_systems.rgbt_detection.metrics.results import Bools, Floats, Integers

# At chance one of 30 answers is right, and four or more in two of a hundred galleries (Poisson):
# from here on a few right answers mean something.
FEWEST_PEOPLE = 30
UNKNOWN = -1  # the identity of somebody who is taken to appear once
TIE = 1e-6  # cosines of single precision are not told apart below this
ROWS_AT_ONCE = 1024


class TooFewPeopleError(ValueError):
    """There are too few people for any statement about alignment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How often the nearest embedding of the other modality is the same person's, in [0, 1]."""

    visible_to_infrared: float
    infrared_to_visible: float
    chance: float

    @property
    def both(self) -> float:
        """Return the mean of the two directions."""
        return (self.visible_to_infrared + self.infrared_to_visible) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Agreement of N visible with N infrared embeddings, and what shuffled people would give."""

    rows: int
    people: int
    gallery: int  # people in one drawn gallery, one view each
    drawn: Retrieval  # mean over the drawn galleries; chance is 1 / gallery
    draws: tuple[float, ...]  # both directions, gallery by gallery
    everybody: Retrieval  # every row against every row; all views of a person are right
    cosine_positive: float  # mean over all pairs of the same person
    cosine_negative: float  # mean over all pairs of two people
    null_mean: float  # of `drawn.both` with people shuffled
    null_95: float  # its 95th percentile
    p: float  # share of shuffles that do as well: (1 + as good) / (1 + shuffles)


def alignment(
    z_visible: ArrayLike,
    z_infrared: ArrayLike,
    identities: ArrayLike | None = None,
    *,
    permutations: int = 1000,
    seed: int = 0,
    gallery: int = 32,
    draws: int = 5,
) -> Alignment:
    """Measure retrieval at rank 1 and cosines between (N, D) embeddings of the same N boxes.

    `identities` (N,) names the person of each row, unique over all scenes; -1, or None for all,
    is somebody who appears once. Ties share the credit, so a collapsed embedding scores chance.
    With fewer than `gallery` people the galleries hold all of them.
    Source: the null is that of a permutation test (Phipson and Smyth, 2010): whole people are
    shuffled, so several views of one person do not pass for independent evidence.

    Raises:
        TooFewPeopleError: there are fewer than 30 people.
        ValueError: the arrays do not fit together, or a row has no direction.
    """
    visible, infrared = _unit(z_visible, "z_visible"), _unit(z_infrared, "z_infrared")
    if visible.shape != infrared.shape:
        raise ValueError(
            f"z_visible has shape {visible.shape}, z_infrared {infrared.shape}; expected the same "
            "(N, D): row i of both is the same box"
        )
    person = _people(identities, len(visible))
    people = int(person.max(initial=-1)) + 1
    refuse_fewer_than_30(people)
    gallery = min(gallery, people)
    random = np.random.default_rng(seed)
    shown = [
        (random.choice(people, gallery, replace=False), _one_view_each(person, random))
        for _ in range(draws)
    ]
    observed = _drawn(visible, infrared, shown, np.arange(people))
    null = np.array(
        [
            _drawn(visible, infrared, shown, random.permutation(people)).mean()
            for _ in range(permutations)
        ]
    )
    everybody, positive, negative = _everybody(visible, infrared, person)
    forth, back = observed.mean(axis=0).tolist()
    as_good = int((null >= observed.mean() - TIE).sum())
    return Alignment(
        rows=len(visible),
        people=people,
        gallery=gallery,
        drawn=Retrieval(visible_to_infrared=forth, infrared_to_visible=back, chance=1 / gallery),
        draws=tuple(observed.mean(axis=1).tolist()),
        everybody=everybody,
        cosine_positive=positive,
        cosine_negative=negative,
        null_mean=float(null.mean()),
        null_95=float(np.quantile(null, 0.95)),
        p=(1 + as_good) / (1 + permutations),
    )


def refuse_fewer_than_30(people: int) -> None:
    """Refuse to say anything of too few people.

    Raises:
        TooFewPeopleError: there are fewer than 30.
    """
    if people < FEWEST_PEOPLE:
        raise TooFewPeopleError(
            f"{people} people are too few to judge alignment; expected at least {FEWEST_PEOPLE}: "
            "of a mini-batch any score is noise, so embed the boxes of the whole validation split"
        )


def _unit(embeddings: ArrayLike, name: str) -> Floats:
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2:  # noqa: PLR2004 - rows and columns
        raise ValueError(f"{name} has shape {rows.shape}; expected (N, D): a row for each box")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(length[:, 0]) & (length[:, 0] > 0)))
    if len(bad):
        raise ValueError(
            f"{name} row {bad[0]} has length {length[bad[0], 0]:g}; expected a finite one above 0: "
            "the projector has diverged or died"
        )
    unit: Floats = rows / length
    return unit


def _people(identities: ArrayLike | None, rows: int) -> Integers:
    """Number the people 0, 1, ...; everybody unknown is a person of his own."""
    stated = np.full(rows, UNKNOWN) if identities is None else np.asarray(identities)
    if stated.shape != (rows,):
        raise ValueError(f"identities has shape {stated.shape}; expected ({rows},): one for a row")
    alone = stated.max(initial=0) + 1 + np.arange(rows)
    person = np.unique(np.where(stated == UNKNOWN, alone, stated), return_inverse=True)[1]
    return person.astype(np.int64)


def _one_view_each(person: Integers, random: np.random.Generator) -> Integers:
    """Draw one row of each person: (people,)."""
    order = random.permutation(len(person))
    return order[np.unique(person[order], return_index=True)[1]]


def _drawn(
    visible: Floats,
    infrared: Floats,
    shown: list[tuple[Integers, Integers]],
    other: Integers,
) -> Floats:
    """Return (draws, 2): rank 1 forth and back when person k's counterpart is `other[k]`."""
    rates = []
    for chosen, view in shown:
        cosines = visible[view[chosen]] @ infrared[view[other[chosen]]].T
        right = np.eye(len(chosen), dtype=np.bool_)
        rates.append([_credit(cosines, right).mean(), _credit(cosines.T, right).mean()])
    return np.array(rates)


def _credit(cosines: Floats, right: Bools) -> Floats:
    """Return for each row the share of right answers among the nearest."""
    nearest = cosines >= cosines.max(axis=1, keepdims=True) - TIE
    credit: Floats = (nearest & right).sum(axis=1) / nearest.sum(axis=1)
    return credit


def _everybody(
    visible: Floats, infrared: Floats, person: Integers
) -> tuple[Retrieval, float, float]:
    """Return retrieval among all rows, and the mean cosine of same and of different people."""
    forth = np.concatenate([_credit(*block) for block in _blocks(visible, infrared, person)])
    back = np.concatenate([_credit(*block) for block in _blocks(infrared, visible, person)])
    same, positives, total = 0.0, 0, 0.0
    for cosines, right in _blocks(visible, infrared, person):
        same += float(cosines[right].sum())
        positives += int(right.sum())
        total += float(cosines.sum())
    retrieval = Retrieval(
        visible_to_infrared=float(forth.mean()),
        infrared_to_visible=float(back.mean()),
        chance=positives / len(person) ** 2,
    )
    return retrieval, same / positives, (total - same) / (len(person) ** 2 - positives)


def _blocks(queries: Floats, answers: Floats, person: Integers) -> Iterator[tuple[Floats, Bools]]:
    """Yield cosines and right answers of some rows against all: 10,000 boxes fill no memory."""
    for start in range(0, len(queries), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        yield queries[rows] @ answers.T, person[rows, None] == person[None, :]
