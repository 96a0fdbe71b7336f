"""Whether the program itself calls a data set its test set."""

import re
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader

from stepscope.probes.source_lines import PROGRAM, forget_variables, kind_of, running_frame

TEST = re.compile(r"(^|_)test(ing)?(_|$|loader|set|data|dl|ds)")
OTHER = re.compile(r"(^|_)(val|valid|validation|dev|train|training)(_|$|loader|set|data|dl|ds)")
SPLIT = re.compile(r"split|mode|subset|phase|image_set|set|stage|partition")
FRAMES = 8  # of the program, from the innermost one outwards
MOST = 256  # names that are looked through in each


def called_test(data: object) -> str:
    """Return by what a data set is the test set: "test_loader", "split='test'"; or nothing.

    Names of variables that hold it, or its loader, where the program asks for a batch; and what the
    data set holds itself. Nothing too where any of them says something else.
    """
    names = [*_of_variables(data), *_of_itself(data)]
    if any(OTHER.search(name.lower()) for name in names):
        return ""
    return next((name for name in names if TEST.search(_word(name))), "")


def _word(name: str) -> str:
    """Bring "testLoader" and "split='test'" to one form."""
    return re.sub(r"[^a-z]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())


def _of_itself(data: object) -> Iterator[str]:
    held = getattr(data, "__dict__", {})
    for key, value in held.items():
        if isinstance(value, str) and SPLIT.fullmatch(str(key)):
            yield f"{key}={value!r}"
    if type(data).__module__.startswith("torchvision.datasets") and "train" in held:
        yield "train=True: training" if held["train"] else "train=False: test"


def _of_variables(data: object) -> list[str]:
    found: list[str] = []
    frame = running_frame(PROGRAM)
    for _ in range(FRAMES):
        while frame is not None and kind_of(frame.f_code) < PROGRAM:
            frame = frame.f_back
        if frame is None:
            break
        found += _of_frame(frame, data)
        frame = frame.f_back
    return found


def _of_frame(frame: FrameType, data: object) -> list[str]:
    held = frame.f_locals
    found = [
        name
        for _, (name, value) in zip(range(MOST), held.items(), strict=False)
        for name in _names(name, value, data)
    ]
    forget_variables(frame, held)
    return found


def _names(name: str, value: Any, data: object) -> list[str]:
    if _is(value, data):
        return [name]
    if type(value) is dict and len(value) < MOST:  # others may have to work for their values
        return [str(key) for key, each in value.items() if isinstance(key, str) and _is(each, data)]
    if name == "self":
        return [key for key, each in getattr(value, "__dict__", {}).items() if _is(each, data)]
    return []


def _is(value: object, data: object) -> bool:
    return value is data or (isinstance(value, DataLoader) and value.dataset is data)
