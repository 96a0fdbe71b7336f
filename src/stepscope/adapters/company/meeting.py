"""How the ranks of a run learn the name of the folder that the first of them has made.

Each asks by a file of a name of its own, and the first answers beside it: what a run before has
left there answers nobody. No collective of torch takes part, which could wait for ever.
"""

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path

from stepscope.adapters.ranks import Ranks
from stepscope.core.whole_file import write_whole
from stepscope.recordings.folder import HOME

PATIENCE_S = 30.0  # for the first rank to begin: they are started together
TICK_S = 0.02
ASK, ANSWER = "ask-", "answer-"
KEYS = (
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SLURM_JOB_ID",
)


class Meeting:
    """A folder that is the same for all ranks of this run, and as a rule for no other."""

    def __init__(self, home: Path, ranks: Ranks) -> None:
        """`home` is where `.stepscope` lies."""
        name = "-".join((*(os.environ.get(key, "0") for key in KEYS), str(ranks.world_size)))
        safe = "".join(letter if letter.isalnum() else "-" for letter in name)
        self._folder = home / HOME / f"meeting-{safe}"
        self._rank = ranks.rank
        self._others = ranks.world_size - 1
        self._answers: dict[int, Path] = {}  # by the rank that asked last

    def ask(self, patience_s: float = PATIENCE_S) -> str | None:
        """Return the name of the run; None where the first rank does not answer.

        Raises:
            OSError: nothing can be written there.
        """
        mine = f"{self._rank}-{uuid.uuid4().hex}"
        answer = self._folder / f"{ANSWER}{mine}"
        until = time.monotonic() + patience_s
        while not answer.exists():
            # Again and again: the first rank of a run before may just be clearing up.
            self._folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{ASK}{mine}").touch()
            if time.monotonic() >= until:
                return None
            time.sleep(TICK_S)
        name = answer.read_text()
        answer.unlink(missing_ok=True)
        return name

    def answer(self, name: str) -> bool:
        """Answer all that have asked; tell whether all ranks have, and have read their answers."""
        with contextlib.suppress(OSError):  # they ask again
            for asked in self._folder.glob(f"{ASK}*"):
                mine = asked.name.removeprefix(ASK)
                answer = self._folder / f"{ANSWER}{mine}"
                write_whole(answer, name.encode())
                asked.unlink(missing_ok=True)
                self._answers[int(mine.partition("-")[0])] = answer
        if len(self._answers) < self._others or any(map(Path.exists, self._answers.values())):
            return False
        self.clear()
        return True

    def present(self) -> list[int]:
        """Return the ranks that have been answered so far: others are not watched."""
        return sorted(self._answers)

    def clear(self) -> None:
        """Remove what is left of the meeting."""
        shutil.rmtree(self._folder, ignore_errors=True)
