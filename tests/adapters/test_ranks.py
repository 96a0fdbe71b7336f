"""The processes of a run meet where they were started."""

from pathlib import Path

import pytest

from stepscope.adapters.ranks import Ranks, presumed_rank


def test_a_program_that_moves_away_still_meets_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ranks = Ranks.of_environment()
    monkeypatch.chdir("/")
    assert ranks.folder.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, None),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"LOCAL_RANK": "1"}, 1),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, 1),
        ({"LOCAL_RANK": "1", "NODE_RANK": "2"}, None),  # of how many on each node is not known
        ({"RANK": "first"}, None),
    ],
)
def test_a_rank_is_presumed_from_what_launchers_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], rank: int | None
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert presumed_rank() == rank
