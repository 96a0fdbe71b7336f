"""Findings in the terminal: each is shown once, whichever rank has it first."""

import threading
from collections.abc import Callable

from stepscope.core.selection import Selection
from stepscope.recordings.entries import Found
from stepscope.reporters.content.news import render_news
from stepscope.watching.terminal import say
from stepscope.watching.verdicts import News


class Shown:
    """Shows findings, of this process and of others. What is ignored is not shown."""

    def __init__(self, selection: Selection, root: str) -> None:
        self._selection = selection
        self._root = root
        self._keys: set[tuple[str, ...]] = set()
        self._from_others: list[News] = []
        self._lock = threading.Lock()  # others are heard in a thread

    def show(self, news: News, rank: int | None = None) -> bool:
        """Show a finding, unless it was shown before; tell whether it was new."""
        with self._lock:
            is_new = news.key not in self._keys
            self._keys.add(news.key)
        if is_new:
            say(render_news(news.rule, news.finding, step=news.step, root=self._root, rank=rank))
        return is_new

    def hear(self, rank: int, found: Found) -> None:
        """Show what another rank has found."""
        rule = next(each for each in self._selection.rules if each.code == found.code)
        news = News(rule, found.finding, found.step)
        if rule.code not in self._selection.ignored and self.show(news, rank):
            with self._lock:
                self._from_others.append(news)

    def hand_on(self, told: Callable[[News], object]) -> None:
        """Tell what came from others since the last time, in the thread that asks."""
        with self._lock:
            news, self._from_others = self._from_others, []
        for each in news:
            told(each)
