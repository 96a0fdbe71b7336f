"""The scene that the name of an image states, and the position in it."""

import re

# 010001 of LLVIP: scene 01, frame 1. Elsewhere: set06/V000/I00019, set06_V000_I00019, FLIR_00001.
NAMES = (re.compile(r"(\d{2})(\d{4})"), re.compile(r"(.+)[/_-]\D*(\d+)"))


def scene_and_frame(name: str) -> tuple[str, int] | None:
    """Return what a name states; None when it states no scene.

    >>> scene_and_frame("190001"), scene_and_frame("set06/V000/I00019"), scene_and_frame("7")
    (('19', 1), ('set06/V000', 19), None)
    """
    for pattern in NAMES:
        if match := pattern.fullmatch(name):
            return match[1], int(match[2])
    return None
