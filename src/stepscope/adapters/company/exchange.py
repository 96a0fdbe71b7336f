"""A folder in which the processes of a run leave word for each other, while the run goes."""

import contextlib
import os
import shutil
import time
from pathlib import Path

from stepscope.recordings.folder import RunFolder

NAME = "between-ranks"
REPORTING = "reporting"  # there as soon as one of them does
REPORTED = "reported"  # in the folder of the run, when that is done
AHEAD = 2  # steps: no rank can be further, where each step waits for all
GRACE_S = 2.0  # for the first rank to report, where another one fails
REPORTING_S = 30.0  # that a report may take
TICK_S = 0.02


class Exchange:
    """Files of a few bytes, below the folder of the run. Whoever reports removes them."""

    def __init__(self, run: RunFolder) -> None:
        self.path = run.path / NAME
        self._reported = run.path / REPORTED
        self._stop = str(self.path / "stop-at")
        self._asked = str(self.path / "stop")
        self._stops_at: int | None = None

    def rank(self, number: int) -> Path:
        """Return where a process hands over what it has noted."""
        return self.path / f"rank-{number}"

    def wish_to_stop(self, step: int) -> None:
        """Have all ranks stop together, a little later than this step; the first wish counts.

        Raises:
            OSError: nothing can be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f"stop-{os.getpid()}.part"
        draft.write_text(str(step + AHEAD))
        with contextlib.suppress(FileExistsError):
            os.link(draft, self._stop)
        draft.unlink()

    def ask_to_stop(self) -> None:
        """Have the first rank wish it: whoever asks takes no steps, and knows of none.

        Raises:
            OSError: nothing can be written.
        """
        Path(self._asked).touch()

    def is_asked_to_stop(self) -> bool:
        """Tell the first rank whether it is to wish for it. Asked after each step."""
        return self._stops_at is None and os.path.exists(self._asked)  # noqa: PTH110 - half the time

    def is_to_stop(self, step: int) -> bool:
        """Tell whether the run stops after this step. Asked after each: one look at a name."""
        if self._stops_at is None and os.path.exists(self._stop):  # noqa: PTH110 - half the time
            with contextlib.suppress(OSError, ValueError):
                self._stops_at = int(Path(self._stop).read_text())
        return self._stops_at is not None and step >= self._stops_at

    @property
    def is_agreed_to_stop(self) -> bool:
        """All ranks stop, or have stopped, after some step."""
        return Path(self._stop).exists()

    def claim_report(self) -> bool:
        """Tell whether this process is the one to report: no other has said so before."""
        if self._reported.exists():
            return False
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / REPORTING).touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError:  # nothing can be written: better twice than never
            return True
        return True

    def is_left_to_report(self) -> bool:
        """Tell a rank that fails whether to report itself, as the first may never come to it.

        A launcher ends all others when one of them leaves with a failure: before it does, the
        report is written, by whomever.
        """
        if not self._wait(GRACE_S, self.path / REPORTING) and self.claim_report():
            return True
        self.wait_for_report()
        return False

    def wait_for_report(self) -> None:
        """Wait until it is written, and no longer than it may take."""
        self._wait(REPORTING_S, self._reported)

    def _wait(self, patience_s: float, *signs: Path) -> bool:
        """Wait for one of these files, or for the end of all."""
        until = time.monotonic() + patience_s
        while not any(each.exists() for each in (*signs, self._reported)):
            if time.monotonic() >= until:
                return False
            time.sleep(TICK_S)
        return True

    def clear(self) -> None:
        """Say that the report is there, and remove the rest."""
        with contextlib.suppress(OSError):
            self._reported.touch()
        shutil.rmtree(self.path, ignore_errors=True)
