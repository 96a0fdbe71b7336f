"""The call that a setting is an argument of."""

import ast
import functools
import linecache
from types import CodeType

from stepscope.evidence.course.readings import Phase, Read
from stepscope.probes.source_lines import place_of


def read_at(key: str, phase: Phase, code: CodeType, line: int) -> Read:
    """Describe a read at a line: `build(dim=cfg.model.dim)` reads "model.dim" into `build`."""
    call = _call_around(key.rpartition(".")[2], code.co_filename, line)
    return Read(
        key=key,
        phase=phase,
        at=place_of(code, line),
        into=ast.unparse(call.func) if call is not None else "",
        call_line=call.lineno if call is not None else 0,
    )


def _call_around(name: str, file: str, line: int) -> ast.Call | None:
    """Find the innermost call that is given `something.name` at a line of a file."""
    found = None
    for node in ast.walk(_parsed(file)):  # outer nodes come before inner ones
        if isinstance(node, ast.Call) and any(
            given.lineno == line and _is_read_of(given, name)
            for given in (*node.args, *(keyword.value for keyword in node.keywords))
        ):
            found = node
    return found


def _is_read_of(given: ast.expr, name: str) -> bool:
    match given:
        case ast.Attribute(attr=attribute):
            return attribute == name
        case ast.Subscript(slice=ast.Constant(value=key)):
            return bool(key == name)
        case _:
            return False


@functools.lru_cache(maxsize=64)
def _parsed(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):  # a cell of a notebook with commands of its own
        return ast.Module(body=[], type_ignores=[])
