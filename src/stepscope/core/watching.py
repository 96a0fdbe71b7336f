"""What an example in a rule's file is given besides PyTorch itself."""

from typing import Protocol

from stepscope.core.evidence import Evidence


class Watch(Protocol):
    """The observer around an example.

    An example is an ordinary piece of training code: while it runs, the same probes observe it
    that observe a script under `stepscope check`. Facts that take too long to produce, or that
    belong to the user (`Intent`), are handed over directly.
    """

    def saw(self, *evidence: Evidence) -> None:
        """Hand over facts directly, in the place of what the probes saw."""
