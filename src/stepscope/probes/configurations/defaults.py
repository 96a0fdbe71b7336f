"""Which settings were given another value than they had."""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from stepscope.probes.configurations.contents import content, leaves


def changed_options(parser: argparse.ArgumentParser, held: Mapping[str, object]) -> list[str]:
    """Return the options that differ from the parser's defaults."""
    return [key for key in held if not _is_equal(held[key], parser.get_default(key))]


def changed_fields(config: object, prefix: str = "") -> Iterator[str]:
    """Yield the fields of data classes that differ from what their class would give them."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return
    held = content(config) or {}
    for field in dataclasses.fields(config):
        value = held.get(field.name, field.default)
        if dataclasses.is_dataclass(value):
            yield from changed_fields(value, f"{prefix}{field.name}.")
        elif field.default is not dataclasses.MISSING and not _is_equal(value, field.default):
            yield prefix + field.name


def changed_leaves(before: Mapping[str, Any], after: object) -> list[str]:
    """Return the settings that are other than they were, and those that are new."""
    missing = object()
    return [
        key
        for key, value in leaves(after).items()
        if not _is_equal(value, before.get(key, missing))
    ]


def _is_equal(value: object, default: object) -> bool:
    """Compare an option with its default, which may be given as text.

    Lists are compared by how they are written: what is in them may be no truth value when compared.
    """
    if value is default:
        return True
    if all(isinstance(each, str | int | float | None) for each in (value, default)):
        return value == default or str(value) == str(default)
    return isinstance(value, list | tuple | dict) and repr(value) == repr(default)
