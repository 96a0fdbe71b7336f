"""Finds the `except` that takes an exception, in the source of the lines it passes."""

import ast
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType

from stepscope.probes.source_lines import MACHINERY, kind_of

Line = tuple[CodeType, int]


def lines_out() -> Iterator[Line]:
    """Yield the running lines outside torch and stepscope, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if kind_of(frame.f_code) > MACHINERY:
            yield frame.f_code, frame.f_lineno
        frame = frame.f_back


def lines_to(traceback: TracebackType | None) -> Iterator[Line]:
    """Yield the lines of a traceback outside torch and stepscope, the raising one last."""
    while traceback is not None:
        if kind_of(traceback.tb_frame.f_code) > MACHINERY:
            yield traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


def catching_line(out: tuple[Line, ...], kinds: tuple[str, ...]) -> Line | None:
    """Return the first handler on the way out that names one of these classes and lets it end.

    A class that a handler names in another way than by its own name is not recognised.
    """
    for code, line in out:
        for attempt in _attempts_around(code, line):
            for handler in attempt.handlers:
                if _names(handler) & set(kinds) and not isinstance(handler.body[-1], ast.Raise):
                    return code, handler.lineno
    return None


def _attempts_around(code: CodeType, line: int) -> list[ast.Try]:
    """Return the `try` statements of this function whose body holds the line, innermost first."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return []
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and node.lineno >= code.co_firstlineno
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
    ]
    return sorted(found, key=lambda node: -node.lineno)


def _names(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"Exception"}  # a bare except takes everything
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {
        kind.id if isinstance(kind, ast.Name) else kind.attr
        for kind in kinds
        if isinstance(kind, ast.Name | ast.Attribute)
    }
