"""All kinds of evidence there are."""

import functools
from typing import TypeGuard

from stepscope import evidence
from stepscope.core import Evidence
from stepscope.core.discovery import members


@functools.cache
def every_kind() -> tuple[type[Evidence], ...]:
    """Find all kinds of evidence, to read a recording back."""
    return tuple(dict.fromkeys(members(evidence, _is_kind)))


def _is_kind(value: object) -> TypeGuard[type[Evidence]]:
    return isinstance(value, type) and issubclass(value, Evidence) and value is not Evidence
