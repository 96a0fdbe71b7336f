"""The processes of a run meet where they were started."""

from pathlib import Path

import pytest

from stepscope.adapters.ranks import Ranks


def test_a_program_that_moves_away_still_meets_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ranks = Ranks.of_environment()
    monkeypatch.chdir("/")
    assert ranks.folder.is_relative_to(tmp_path)
