"""Conditions and identities beside a data set."""

from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.data import sidecar
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.kaist import read_kaist
from stepscope_systems.rgbt_detection.data.llvip import read_llvip
from stepscope_systems.rgbt_detection.data.sidecar import Note
from tests.stepscope_systems.rgbt_detection.data.trees import ONE, bbgt, llvip, paired

pytestmark = pytest.mark.corpus
TWO = (*ONE, ("person", 30, 1, 40, 20))


def test_notes_give_conditions_and_identities(tmp_path: Path) -> None:
    root = llvip(tmp_path, {"010001": TWO, "010002": ONE})
    sidecar.write(root, {"010001": Note(condition="crossover", identities=(4, -1))})
    first, second = read_llvip(root, "train").pairs
    assert (first.condition, second.condition) == ("crossover", "unknown")
    assert [person.identity for person in (*first.people, *second.people)] == [4, -1, -1]


def test_a_note_without_a_condition_keeps_that_of_the_set(tmp_path: Path) -> None:
    line = bbgt("person 4 5 16 35 0 0 0 0 0 0 0")
    root = paired(tmp_path, "set03/V001/I00007", line, line)
    sidecar.write(root, {"set03/V001/I00007": Note(identities=(9,))})
    (pair,) = read_kaist(root, "paired").pairs
    assert (pair.condition, pair.people[0].identity) == ("night", 9)


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_identities_than_of_objects_is_at_fault(
    tmp_path: Path, count: int
) -> None:
    root = llvip(tmp_path, {"010001": TWO})
    sidecar.write(root, {"010001": Note(identities=(5,) * count)})
    with pytest.raises(DataFault, match=f"{count} identities for 010001; expected 2"):
        read_llvip(root, "train")


@pytest.mark.parametrize("text", ["{", "[]", '{"010001": {"identities": ["a"]}}', "[" * 100_000])
def test_notes_that_cannot_be_read_are_at_fault(tmp_path: Path, text: str) -> None:
    root = llvip(tmp_path, ["010001"])
    (root / "pairs.json").write_text(text)
    with pytest.raises(DataFault, match=r"pairs.json: cannot be read"):
        read_llvip(root, "train")
