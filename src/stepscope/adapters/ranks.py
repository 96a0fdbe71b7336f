"""The processes of one distributed run hand their recordings to the first."""

import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stepscope.core import Evidence, Recording

PATIENCE_S = 60.0  # for the slowest rank


def presumed_rank() -> int | None:
    """Return the rank that whoever started this process meant it to be; None if nobody did."""
    number = os.environ.get("RANK")
    if number is None and os.environ.get("NODE_RANK", "0") == "0":
        number = os.environ.get("LOCAL_RANK")
    return int(number) if number is not None and number.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which process this is, by the environment that `torchrun` and its kin set."""

    rank: int
    world_size: int
    home: Path  # where the program was started; it may move away

    @classmethod
    def of_environment(cls) -> "Ranks":
        """Read RANK and WORLD_SIZE, or ask a process group that there is already.

        A process of its own where there is neither.
        """
        try:
            return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), Path.cwd())
        except (KeyError, ValueError):
            return cls.of_group()

    @classmethod
    def of_group(cls) -> "Ranks":
        """Ask a process group that there is already; a process of its own where there is none."""
        group = sys.modules.get("torch.distributed")  # not loaded: none has been made
        if group is not None and group.is_available() and group.is_initialized():
            return cls(group.get_rank(), group.get_world_size(), Path.cwd())
        return cls(0, 1, Path.cwd())

    @classmethod
    def here(cls, rank: int, world_size: int) -> "Ranks":
        """Take what a framework says, in the current folder."""
        return cls(rank, world_size, Path.cwd())

    @property
    def folder(self) -> Path:
        """Where the recordings meet: the same for all ranks of this run, and for no other."""
        keys = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_PORT")
        name = "-".join(os.environ.get(key, "0") for key in keys)
        safe = "".join(letter if letter.isalnum() else "-" for letter in name)
        return self.home / ".stepscope" / f"check-{safe}"

    def hand_over(self, recording: Recording) -> None:
        """Write this rank's recording where the first rank reads it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"rank-{self.rank}.part"
        draft.write_bytes(recording.to_json())
        draft.rename(self.folder / f"rank-{self.rank}.json")

    def gather(
        self, own: Recording, kinds: Iterable[type[Evidence]]
    ) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
        """Return all recordings, this one's first, and what is to be said of missing ones."""
        kinds = tuple(kinds)
        recordings, notes = [own], []
        end = time.monotonic() + PATIENCE_S
        for rank in range(1, self.world_size):
            path = self.folder / f"rank-{rank}.json"
            while not path.exists() and time.monotonic() < end:
                time.sleep(0.05)
            if path.exists():
                recordings.append(Recording.from_json(path.read_bytes(), kinds))
            else:
                notes.append(f"rank {rank} handed over no recording within {PATIENCE_S:.0f} s")
        shutil.rmtree(self.folder, ignore_errors=True)
        return tuple(recordings), tuple(notes)
