"""Whether a run came to its own end."""

import sys

from stepscope.evidence.course.endings import RunEnded
from stepscope.probes.course.sampler import Sampler


class EndingSampler(Sampler):
    """Looks, when the watching ends, whether an exception is on its way through it."""

    def ended(self) -> None:
        """Note how it ended. To leave by `sys.exit()` or `sys.exit(0)` is to finish."""
        error = sys.exception()
        finished = error is None or (isinstance(error, SystemExit) and not error.code)
        name = "" if finished else type(error).__name__
        self.notes.happen(RunEnded(finished=finished, error=name))
