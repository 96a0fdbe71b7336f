"""Who hands a configuration on, and who only writes it down, is told from the lines that ask."""

import copy
import json
import pprint
import sys
from collections.abc import Callable
from types import FrameType

from stepscope.probes.configurations.asking import is_own, program_line


class Asked:
    """Takes the frame that a method is called from."""

    def __init__(self) -> None:
        self.line: FrameType | None = None

    def __deepcopy__(self, memo: object) -> "Asked":
        self.line = program_line(sys._getframe(1))
        return self

    def __repr__(self) -> str:
        self.line = program_line(sys._getframe(1))
        return "asked"


def line_of(act: Callable[[Asked], object]) -> int | None:
    asked = Asked()
    act(asked)
    return None if asked.line is None else asked.line.f_lineno


def test_a_library_that_copies_does_so_for_the_line_of_the_program() -> None:
    def act(asked: Asked) -> None:
        copy.deepcopy([asked])

    assert line_of(act) == act.__code__.co_firstlineno + 1


def test_what_formats_or_keeps_asks_for_nobody() -> None:
    assert line_of(pprint.pformat) is None
    assert line_of(lambda asked: json.JSONEncoder(default=repr).encode(asked)) is None


def test_a_line_that_says_to_log_or_to_save_asks_for_nobody() -> None:
    assert line_of(lambda asked: [repr(asked)]) is not None
    assert line_of(lambda log: [repr(log)]) is None
    assert line_of(lambda to_save: [repr(to_save)]) is None


def test_to_keep_hyperparameters_for_reading_is_to_hand_them_on() -> None:
    def save_hyperparameters(asked: Asked) -> None:
        repr(asked)

    def act(asked: Asked) -> None:
        save_hyperparameters(asked)

    assert line_of(act) is not None
    assert line_of(lambda logits: [repr(logits)]) is not None


def test_a_generated_method_of_a_data_class_is_its_own() -> None:
    held: dict[str, FrameType] = {}
    source = "def {name}(hold): hold()\n{name}(hold)"
    for name in ("__repr__", "program"):

        def hold(name: str = name) -> None:
            held[name] = sys._getframe(1)

        exec(compile(source.format(name=name), "<string>", "exec"), {"hold": hold})  # noqa: S102
    assert is_own(held["__repr__"])
    assert not is_own(held["program"])
    assert not is_own(sys._getframe())
