"""Wrappers on the class of a configuration that tell of what is read."""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

from stepscope.probes.configurations.book import Book
from stepscope.probes.live_run import LiveRun

READ = ("__getitem__", "__getattr__", "__contains__", "get", "pop", "setdefault")
READ_WHOLE = (
    "__iter__", "__copy__", "__deepcopy__", "__reduce_ex__", "__or__", "__ror__",
    "copy", "items", "keys", "to_dict", "values",
)  # fmt: skip
WHOLE = ("__dict__", "_get_kwargs")  # attributes that are all attributes


def hear(book: Book, patches: LiveRun, kind: type) -> None:
    """Have a class tell a book of the attributes, or of the items, that are asked for.

    A class that inherits the ways of `dict` in C is given them in Python: `{**table}` and
    `dict(table)` would otherwise go past them.
    """
    if issubclass(kind, argparse.Namespace) or dataclasses.is_dataclass(kind):
        patches.patch(kind, "__getattribute__", _around_attribute(book), is_inert=True)
        return
    for name in READ:
        if hasattr(kind, name):
            patches.patch(
                kind, name, _around_item(book, asks_only=name == "__contains__"), is_inert=True
            )
    for name in READ_WHOLE:
        if hasattr(kind, name):
            patches.patch(kind, name, _around_whole(book), is_inert=True)


Around = Callable[[Callable[..., Any]], Callable[..., Any]]


def _around_attribute(book: Book) -> Around:
    def around(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def observed(table: Any, name: str) -> Any:
            value = read(table, name)
            if book.knows(table) and not book.is_deaf():
                frame = sys._getframe(1)
                try:
                    if name in WHOLE or frame.f_globals.get("__name__") == "dataclasses":
                        book.read_whole(table, frame)
                    elif not callable(value) or book.holds(table, name):
                        book.read(table, name, value, frame)
                except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
                    book.failed()
            return value

        return observed

    return around


def _around_item(book: Book, *, asks_only: bool) -> Around:
    def around(get: Callable[..., Any]) -> Callable[..., Any]:
        def observed(table: Any, *args: Any, **kwargs: Any) -> Any:
            value = get(table, *args, **kwargs)
            if book.knows(table) and not book.is_deaf():
                key = args[0] if args else kwargs.get("key")
                try:
                    if isinstance(key, str) and (not asks_only or book.holds(table, key)):
                        book.read(table, key, value, sys._getframe(1))
                except Exception:  # noqa: BLE001 - as above
                    book.failed()
            return value

        return observed

    return around


def _around_whole(book: Book) -> Around:
    def around(get: Callable[..., Any]) -> Callable[..., Any]:
        def observed(table: Any, *args: Any, **kwargs: Any) -> Any:
            if book.knows(table) and not book.is_deaf():
                try:
                    book.read_whole(table, sys._getframe(1))
                except Exception:  # noqa: BLE001 - as above
                    book.failed()
            return get(table, *args, **kwargs)

        return observed

    return around
