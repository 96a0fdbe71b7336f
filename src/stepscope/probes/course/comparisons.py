"""What the classes of a program compare their own counters with, read from their source."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from stepscope.core import Place
from stepscope.probes.source_lines import MACHINERY, kind_of_file

BEGINNING = re.compile(r"(^|_)(warm|start|begin|delay|after|enable|burn|activat)")
_ORDERED = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
_CASTS = ("int", "float", "bool")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`self.counter > self.threshold`, in whichever order it is written."""

    counter: str
    threshold: str
    is_inclusive: bool
    at: Place


@functools.cache
def comparisons(kind: Hashable) -> tuple[Comparison, ...]:
    """Return those of a class and the classes above it, torch's own left out."""
    assert isinstance(kind, type)
    return tuple(each for base in kind.__mro__ for each in _in_class(base))


def _in_class(kind: type) -> Iterator[Comparison]:
    try:
        file = inspect.getsourcefile(kind)
        if file is None or kind_of_file(file) == MACHINERY:
            return
        lines, first = inspect.getsourcelines(kind)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return  # made without a file: in a notebook, by exec
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            at = Place(file=file, line=first + node.lineno - 1, function=kind.__qualname__)
            yield from _read(node, at)


def _read(node: ast.Compare, at: Place) -> Iterator[Comparison]:
    left, right = _attribute(node.left), _attribute(node.comparators[0])
    operator = node.ops[0]
    if left is None or right is None or not isinstance(operator, _ORDERED):
        return
    is_first = [bool(BEGINNING.search(name)) for name in (left, right)]
    if is_first == [False, True]:  # counter >= threshold, counter < threshold
        yield Comparison(left, right, isinstance(operator, ast.GtE | ast.Lt), at)
    elif is_first == [True, False]:  # threshold <= counter, threshold > counter
        yield Comparison(right, left, isinstance(operator, ast.LtE | ast.Gt), at)


def _attribute(node: ast.expr) -> str | None:
    """Return the name in `self.name`, also in `int(self.name)` and `self.name.item()`."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Call(func=ast.Name(id=cast), args=[inner]) if cast in _CASTS:
            return _attribute(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr="item"), args=[]):
            return _attribute(inner)
        case ast.Subscript(value=inner, slice=ast.Constant(value=0)):
            return _attribute(inner)
    return None
