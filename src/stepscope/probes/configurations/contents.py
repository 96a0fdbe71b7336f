"""What a configuration holds, read without being heard and without building anything."""

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stepscope.evidence.course.readings import DeclaredModule

DEEPEST = 20  # tables within tables; a configuration may hold itself
MOST = 4096  # keys, and modules, of one configuration
_REFERENCE = re.compile(r"\$\{\.*([\w.]+)\}")  # of OmegaConf: "${model.dim}", "${.dim}"
_HEAP = 1 << 9  # of `type.__flags__`: a class whose attributes can be set


def content(value: object) -> dict[str, Any] | None:
    """Return what a table holds by name; None for what is none, or is not keyed by texts."""
    held: Mapping[Any, Any]
    if isinstance(value, dict):
        held = dict(dict.items(value))
    elif _is(value, "omegaconf.dictconfig", "DictConfig"):
        nodes = vars(value)["_content"]
        held = nodes if isinstance(nodes, dict) else {}  # else: missing, or an interpolation
    elif _is(value, "mmengine.config.config", "Config"):
        return content(inner(value))
    elif isinstance(value, argparse.Namespace):
        held = object.__getattribute__(value, "__dict__")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {
            each.name: object.__getattribute__(value, each.name)
            for each in dataclasses.fields(value)
            if _is_set(value, each.name)
        }
    elif isinstance(value, Mapping):
        held = dict(value.items())
    else:
        return None
    if not all(isinstance(key, str) for key in held):
        return None
    return {key: _plain(each) for key, each in held.items()}


def inner(value: object) -> object:
    """Return the table that MMEngine's `Config` is a cover of; another value is its own."""
    is_cover = _is(value, "mmengine.config.config", "Config")
    return object.__getattribute__(value, "_cfg_dict") if is_cover else value


def can_tell(kind: type) -> bool:
    """Tell a class that can be made to tell of reads: those written in C, as `dict`, cannot."""
    return bool(kind.__flags__ & _HEAP)


def is_watchable(value: object) -> bool:
    """Tell a table of such a class."""
    return can_tell(type(value)) and content(value) is not None


def leaves(root: object) -> dict[str, Any]:
    """Return the settings by dotted key. A list is one setting, and so is a plain dictionary."""
    found: dict[str, Any] = {}
    waiting = [("", root, 0)]
    while waiting and len(found) < MOST:
        prefix, table, depth = waiting.pop()
        for key, value in (content(table) or {}).items():
            if depth < DEEPEST and is_watchable(value):
                waiting.append((f"{prefix}{key}.", value, depth + 1))
            else:
                found[prefix + key] = value
    return found


def judged(found: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys without those that others refer to: OmegaConf reads them unheard."""
    named = {
        name
        for value in found.values()
        if isinstance(value, str)
        for name in _REFERENCE.findall(value)
    }
    return frozenset(
        key for key in found if not any(key == name or key.endswith(f".{name}") for name in named)
    )


def declared_modules(root: object) -> tuple[DeclaredModule, ...]:
    """Return the tables that name a class, whatever it is, in lists too.

    MMEngine's do so by `type`, Hydra's by `_target_`.
    """
    return tuple(_declared(root, "", "", 0))[:MOST]


def _declared(value: object, key: str, within: str, depth: int) -> Iterator[DeclaredModule]:
    if depth > DEEPEST:
        return
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _declared(_plain(each), f"{key}[{number}]", within, depth + 1)
        return
    held = content(value)
    if held is None:
        return
    kind, path = _name(held.get("type")), _name(held.get("_target_"))
    kind, is_by_path = (kind, False) if kind else (path, True)
    if kind and key:
        yield DeclaredModule(key=key, kind=kind, within=within, by_path=is_by_path)
    for name, each in held.items():
        below = f"{key}.{name}" if key else name
        yield from _declared(each, below, kind or within, depth + 1)


def _name(named: object) -> str:
    """Return the name of a class, of a registry's "mmdet.FCHead" and of "models.heads.FCHead"."""
    if isinstance(named, type):
        return named.__name__
    return named.rpartition(".")[2] if isinstance(named, str) else ""


def _plain(value: Any) -> Any:
    """Return what a node of OmegaConf holds; another value is its own."""
    if type(value).__module__.startswith("omegaconf."):
        held = vars(value)
        if "_val" in held:
            return held["_val"]
        if _is(value, "omegaconf.listconfig", "ListConfig"):
            nodes = held["_content"]
            return [_plain(each) for each in nodes] if isinstance(nodes, list) else nodes
        if not isinstance(held.get("_content"), dict):
            return held.get("_content")  # "???", "${other}" or None in the place of a table
    return value


def _is(value: object, module: str, name: str) -> bool:
    """Tell an object of a library's class without importing the library."""
    return any(each.__module__ == module and each.__name__ == name for each in type(value).__mro__)


def _is_set(value: object, name: str) -> bool:
    """Tell whether a field of a data class has a value: one with `init=False` may have none."""
    try:
        object.__getattribute__(value, name)
    except AttributeError:
        return False
    return True
