"""Domains small enough for a test."""

import dataclasses
from typing import Any

from stepscope_systems.rgbt_detection.data.synthetic import DOMAINS, Domain

DAY, NIGHT = (("day", 1.0),), (("night", 1.0),)


def domain(name: str = "a", **options: Any) -> Domain:
    """Return one of the two at 64x48 and 3 frames a scene, with people to match."""
    small = {"width": 64, "height": 48, "smallest": 14.0, "largest": 28.0, "frames": 3}
    return dataclasses.replace(DOMAINS[name], **(small | options))
