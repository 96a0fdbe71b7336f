"""Configurations that a program hands over, before or while it is watched."""

from collections.abc import Callable
from typing import TypeVar

from stepscope.core import Place
from stepscope.probes.configurations.book import Book, reference
from stepscope.probes.configurations.contents import content, is_watchable
from stepscope.probes.configurations.defaults import changed_fields
from stepscope.probes.configurations.hearing import hear
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line

T = TypeVar("T")
MOST = 64  # that wait for a run
EARLIER = "was handed over before the watching began"
NOT_HEARD = "is a plain dictionary, of which nobody is told what is read"


class _Handed:
    """Takes what is handed over to the book of the present run, or keeps it for the next one."""

    def __init__(self) -> None:
        self._book: Book | None = None
        self._waiting: list[tuple[Callable[[], object | None], Place]] = []

    def take(self, config: object, at: Place) -> None:
        if self._book is None or self._book.is_over:
            self._waiting = [each for each in self._waiting if each[0]() is not None][1 - MOST :]
            self._waiting.append((reference(config), at))
        else:
            _begin(self._book, config, at)

    def adopt(self, run: LiveRun) -> Book:
        """Return a book for a run, with what was handed over before it."""
        book = Book(run, hear)
        if self._book is not None and not self._book.is_over:
            return book  # an outer run has what is handed over
        self._book = book
        for held, at in self._waiting:
            if (config := held()) is not None:
                _begin(book, config, at, unseen=EARLIER)
        self._waiting.clear()
        return book


def _begin(book: Book, config: object, at: Place, unseen: str = "") -> None:
    kind = type(config)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    with book.attending():
        known = book.begin(config, name, at, given=changed_fields(config))
        known.unseen = known.unseen or (unseen if is_watchable(config) else NOT_HEARD)


HANDED = _Handed()


def watch_config(config: T) -> T:
    """Have it noted what is read of a configuration, and which modules it declares; return it.

    ```python
    config = stepscope.watch_config(Config(dim=64))
    ```

    To be called where the configuration is made: earlier reads are not seen. Options of argparse,
    and what OmegaConf, Hydra, yacs and MMEngine load, are found without. It stays the object that
    it is. Only the modules that it declares, by `type` or `_target_`, are noted of a plain
    dictionary, as nobody is told of its reads, and where nothing watches yet: under `stepscope run`
    something always does.

    Raises:
        TypeError: it is none of Namespace, data class, dictionary or mapping.
    """
    if isinstance(config, type) or content(config) is None:
        what = f"the class {config.__name__}" if isinstance(config, type) else repr(config)[:80]
        raise TypeError(
            f"watch_config() was given {what}; expected a Namespace, an instance of a data class, "
            "or a mapping whose keys are texts: hand over the object that the program reads"
        )
    HANDED.take(config, running_line(PROGRAM))
    return config
