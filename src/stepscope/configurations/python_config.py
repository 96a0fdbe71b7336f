"""Configurations written in Python, as those of MMEngine, read without running them."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepscope.configurations.files import LARGEST

DEEPEST = 20  # files that inherit from one another
LONGEST = 100_000  # elements, counted wherever they are mentioned, that a value may have
HIGHEST = 10**18  # whole number that is still computed
BASE = "_base_"
_COMPUTED: Mapping[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only running the file would tell."""

    source: str
    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Overwritten:
    """A name that is assigned twice in one file: nothing of the first value is left."""

    name: str
    file: Path
    line: int  # of the first assignment
    by_line: int
    lost: tuple[str, ...]  # keys of the first value that the second one does not have


@dataclass(slots=True)
class PythonConfig:
    """What a file assigns, its bases merged in."""

    path: Path
    values: dict[str, object] = field(default_factory=dict)
    overwritten: list[Overwritten] = field(default_factory=list)
    unread: list[Unknown] = field(default_factory=list)  # statements that were left out


def read_config(path: Path) -> PythonConfig:
    """Read assignments of numbers, texts, lists, dictionaries and of what was assigned before.

    `_base_` files are read too, and merged as MMEngine does: dictionaries key by key, unless one
    has `_delete_=True`. Calls other than `dict(...)`, loops and conditions are not run: what they
    would give is `Unknown`.

    Raises:
        ValueError: a file cannot be read, is no Python, or inherits from itself.
    """
    try:
        return _Reader(path, ()).read()
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply; that is no configuration") from None


class _Reader:
    def __init__(self, path: Path, above: tuple[Path, ...]) -> None:
        if path.resolve() in above or len(above) > DEEPEST:
            raise ValueError(f"{path} inherits from itself by way of {BASE}")
        self._above = (*above, path.resolve())
        self._config = PythonConfig(path)
        self._lines: dict[str, int] = {}

    def read(self) -> PythonConfig:
        for statement in _parsed(self._config.path).body:
            self._statement(statement)
        return self._inherited()

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign(name, value, statement.lineno)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assign(name, value, statement.lineno)
            case ast.Assign(targets=[ast.Subscript(value=inside, slice=key)], value=value):
                held, at = self._value(inside), self._value(key)
                if isinstance(held, dict) and isinstance(at, str):
                    held[at] = self._value(value)
                    if not _is_small(self._config.values):  # or it holds itself by now
                        held[at] = self._unknown(value)
                else:
                    self._config.unread.append(self._unknown(statement))
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case _:
                self._config.unread.append(self._unknown(statement))

    def _assign(self, name: str, value: ast.expr, line: int) -> None:
        before, now = self._config.values.get(name), self._value(value)
        if not _is_small(now):
            now = self._unknown(value)
        mentions = any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value))
        if isinstance(before, dict) and before and isinstance(now, dict) and not mentions:
            lost = tuple(key for key in _keys(before) if key not in set(_keys(now)))
            file = self._config.path
            self._config.overwritten.append(Overwritten(name, file, self._lines[name], line, lost))
        self._config.values[name] = now
        self._lines[name] = line

    def _value(self, node: ast.expr) -> object:  # noqa: PLR0911 - one for each kind of node
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(each) for each in elements]
            case ast.Dict(keys=keys, values=values):
                return self._dictionary(
                    [(None if key is None else self._value(key), value)
                     for key, value in zip(keys, values, strict=True)]
                )  # fmt: skip
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                return self._dictionary([(each.arg, each.value) for each in keywords])
            case ast.Name(id=name) if name in self._config.values:
                return self._config.values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self._value(operand)
                return -number if isinstance(number, int | float) else self._unknown(node)
            case ast.BinOp(left=left, op=sign, right=right):
                return self._computed(node, self._value(left), sign, self._value(right))
            case ast.Subscript(value=inside, slice=key):
                return self._inside(node, self._value(inside), self._value(key))
            case _:
                return self._unknown(node)

    def _dictionary(self, pairs: list[tuple[object, ast.expr]]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, node in pairs:
            value = self._value(node)
            if key is None and isinstance(value, dict):  # **earlier
                made |= value
            else:
                made[str(key)] = value
        return made

    def _computed(self, node: ast.expr, left: object, sign: ast.operator, right: object) -> object:
        compute = _COMPUTED.get(type(sign))
        is_formatting = isinstance(left, str) and isinstance(sign, ast.Mod)
        if compute is None or is_formatting or not _is_short(left, sign, right):
            return self._unknown(node)
        try:
            result = compute(left, right)
        except (TypeError, ArithmeticError):
            return self._unknown(node)
        is_huge = isinstance(result, int) and abs(result) > HIGHEST
        return self._unknown(node) if is_huge else result

    def _inside(self, node: ast.expr, held: object, key: object) -> object:
        if isinstance(held, dict) and key in held:
            return held[key]
        if isinstance(held, list) and isinstance(key, int) and -len(held) <= key < len(held):
            return held[key]
        return self._unknown(node)

    def _unknown(self, node: ast.stmt | ast.expr) -> Unknown:
        source = " ".join(ast.unparse(node).split())[:80]
        return Unknown(source, self._config.path, node.lineno)

    def _inherited(self) -> PythonConfig:
        named = self._config.values.pop(BASE, [])
        bases = named if isinstance(named, list) else [named]
        merged: dict[str, object] = {}
        for base in bases:
            if isinstance(base, Unknown):
                self._config.unread.append(base)
            if not isinstance(base, str):
                continue
            read = _Reader(self._config.path.parent / base, self._above).read()
            merged = _merged(merged, read.values)
            self._config.overwritten += read.overwritten
            self._config.unread += read.unread
        self._config.values = _merged(merged, self._config.values)
        return self._config


def _parsed(path: Path) -> ast.Module:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is larger than 1 MiB; that is no configuration")
        return ast.parse(path.read_bytes(), str(path))
    except OSError as why:
        raise ValueError(f"{path} cannot be read: {why.strerror}") from why
    except (SyntaxError, RecursionError, MemoryError) as why:
        line = getattr(why, "lineno", None)
        raise ValueError(f"{path}, line {line}: not valid Python: {why}") from why


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and not value.get("_delete_"):
            result[key] = _merged(before, value)
        elif isinstance(before, dict) and isinstance(value, dict):
            result[key] = {name: each for name, each in value.items() if name != "_delete_"}
        else:
            result[key] = value
    return result


def _keys(values: Mapping[str, object], lead: str = "") -> list[str]:
    """Return the dotted keys of nested dictionaries, without the dictionaries themselves."""
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _keys(value, f"{lead}{key}.")
        else:
            found.append(f"{lead}{key}")
    return found


def _is_short(left: object, sign: ast.operator, right: object) -> bool:
    """Tell whether a sum or a repetition of sequences stays within `LONGEST`."""
    lengths = [len(each) if isinstance(each, str | list) else None for each in (left, right)]
    if lengths == [None, None]:
        return True
    if isinstance(sign, ast.Add):
        return sum(length or 0 for length in lengths) <= LONGEST
    times = next((each for each in (left, right) if isinstance(each, int)), 0)
    return times * max(length or 0 for length in lengths) <= LONGEST


def _is_small(value: object) -> bool:
    """Tell whether walking through a value ends, within `LONGEST` elements."""
    waiting, seen = [value], 0
    while waiting:
        each = waiting.pop()
        seen += 1
        inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        if seen + len(waiting) + len(inside) > LONGEST:
            return False
        waiting += inside
    return True
