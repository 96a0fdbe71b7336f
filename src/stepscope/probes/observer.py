"""Who observes what runs here at present: hooks upon hooks would see each other's looking."""

import threading


class _Observer(threading.local):
    """Of this thread, as hooks look at nothing in any other.

    No `ContextVar`: in a notebook each cell may have a context of its own.
    """

    present: object | None = None


OBSERVER = _Observer()
