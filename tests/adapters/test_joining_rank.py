"""A rank is told how it is watched by whoever started it, and by nobody else."""

import os
import pickle
from pathlib import Path

import pytest

from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.joining_rank import join
from stepscope.adapters.started_ranks import HOW
from stepscope.recordings.folder import RunFolder


class Canary:
    """What makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def sung(tmp_path: Path) -> Path:
    return tmp_path / "sung"


@pytest.fixture
def word(tmp_path: Path, sung: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave word that does more than it should, in the folder of a run."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    path = Exchange(RunFolder(tmp_path)).path
    path.mkdir()
    how = path / HOW
    how.write_bytes(pickle.dumps(Canary(sung)))
    how.chmod(0o600)
    return how


def test_word_that_another_user_may_have_written_is_not_read(
    word: Path, tmp_path: Path, sung: Path
) -> None:
    word.chmod(0o666)
    join(f"within:{os.getppid()}:{tmp_path}", "train.py", ())
    assert not sung.exists()


def test_word_of_a_program_that_did_not_start_this_one_is_not_read(
    word: Path, tmp_path: Path, sung: Path
) -> None:
    assert word.exists()
    join(f"within:{os.getpid()}:{tmp_path}", "train.py", ())
    assert not sung.exists()


def test_a_link_is_not_followed(word: Path, tmp_path: Path, sung: Path) -> None:
    elsewhere = word.rename(tmp_path / "elsewhere")
    word.symlink_to(elsewhere)
    join(f"within:{os.getppid()}:{tmp_path}", "train.py", ())
    assert not sung.exists()


def test_own_word_is_read(word: Path, tmp_path: Path, sung: Path) -> None:
    assert word.exists()
    with pytest.raises(AssertionError, match="nobody else writes there"):
        join(f"within:{os.getppid()}:{tmp_path}", "train.py", ())
    assert sung.exists()
