"""The error that a data set at fault gives."""

import pickle
from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data.faults import DataFault, Reading
from stepscope_systems.rgbt_detection.data.pairs import PairList

FAULT = DataFault("a/b.txt", found="this", expected="that", advice="do so")
NOTHING = PairList(dataset="d", variant="v", split="train", pairs=())


def test_one_sentence_says_the_thing_what_was_found_what_was_expected_and_what_to_do() -> None:
    assert str(FAULT) == f"{Path('a/b.txt')}: this; expected that: do so"


def test_it_comes_back_whole_from_the_worker_of_a_loader() -> None:
    back = pickle.loads(pickle.dumps(FAULT.with_more(3)))  # noqa: S301 - our own
    assert (str(back), back.path, back.more) == (str(FAULT.with_more(3)), Path("a/b.txt"), 3)


@pytest.mark.parametrize(("count", "more"), [(1, ""), (2, " (1 more;"), (2001, " (2,000 more;")])
def test_the_first_fault_says_how_many_more_there_are(count: int, more: str) -> None:
    with pytest.raises(DataFault) as raised:
        Reading(pairs=NOTHING, faults=(FAULT,) * count).sound()
    assert str(raised.value).removeprefix(str(FAULT)).startswith(more)
    assert raised.value.more == count - 1


def test_without_a_fault_the_pairs_are_returned() -> None:
    assert Reading(pairs=NOTHING, faults=()).sound() is NOTHING
