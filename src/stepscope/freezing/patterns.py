"""Which parts of a model a set of globs means."""

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from stepscope.evidence.intent import matches

T = TypeVar("T")
NEAREST = 3  # names that an error suggests


@dataclass(frozen=True, slots=True)
class Names:
    """Every qualified name in a model, those of shared tensors and modules each time."""

    parameters: Mapping[str, nn.Parameter]
    buffers: Mapping[str, Tensor]
    modules: Mapping[str, nn.Module]  # without the root

    @classmethod
    def of(cls, model: nn.Module) -> "Names":
        """Read them off the model."""
        modules = dict(model.named_modules(remove_duplicate=False))
        del modules[""]
        return cls(
            dict(model.named_parameters(remove_duplicate=False)),
            dict(model.named_buffers(remove_duplicate=False)),
            modules,
        )

    def all(self) -> set[str]:
        """Return all of them."""
        return {*self.parameters, *self.buffers, *self.modules}


@dataclass(frozen=True, slots=True)
class Meant:
    """What globs mean in a model, by name."""

    parameters: tuple[str, ...]
    modules: frozenset[str]  # named as a whole by a glob, and no part of them excepted


def meant(names: Names, patterns: Sequence[str], but: Sequence[str] = ()) -> Meant:
    """Return the parameters and modules that `patterns` name and `but` does not.

    Raises:
        ValueError: a glob matches nothing, or no parameter is left.
    """
    for glob in (*patterns, *but):
        expect_match(glob, names)
    excepted = {name for name in names.all() if matches(name, tuple(but))}
    parameters = tuple(
        name for name in names.parameters if name not in excepted and matches(name, tuple(patterns))
    )
    if not parameters:
        raise ValueError(
            f"{_listed(patterns)} name no parameter"
            + (f" that {_listed(but)} do not except" if but else "")
            + "; nothing would be frozen"
        )
    above = {prefix for name in excepted for prefix in _prefixes(name)}
    modules = {name for name in names.modules if matches(name, tuple(patterns))}
    return Meant(parameters, frozenset(modules - excepted - above))


def longest(what: str, names: Sequence[str], options: Mapping[str, T]) -> T | None:
    """Return what the longest glob says that matches any of the names; None where none does.

    Raises:
        ValueError: two globs of the same length say different things of `what`.
    """
    found = {
        glob: said for glob, said in options.items() if any(matches(n, (glob,)) for n in names)
    }
    if not found:
        return None
    most = max(map(_length, found))
    decisive = {glob: said for glob, said in found.items() if _length(glob) == most}
    said = list(decisive.values())
    if any(each != said[0] for each in said):
        raise ValueError(
            f"{what} is matched by {_listed(decisive)}, which are equally long and say different "
            "things; make one of them longer"
        )
    return said[0]


def expect_match(glob: str, names: Names) -> None:
    """Refuse a glob that matches nothing; warn of one that only matches what holds no tensor.

    Raises:
        ValueError: with the nearest names.
    """
    matched = [name for name in names.all() if matches(name, (glob,))]
    if not matched:
        raise ValueError(
            f"the pattern {glob!r} matches nothing in the model; {_nearest(glob, names)}"
        )
    if not any(name in names.parameters or name in names.buffers for name in matched):
        warnings.warn(
            f"the pattern {glob!r} matches only modules without parameters or buffers: "
            f"{', '.join(sorted(matched)[:NEAREST])}",
            stacklevel=5,  # of the line that called `freeze`
        )


def _length(glob: str) -> int:
    """Count what is literal in a glob: `backbone.*` and `backbone` are equally long."""
    return len(glob.removesuffix(".*").replace("*", "").replace("?", ""))


def _nearest(glob: str, names: Names) -> str:
    asked = glob.replace("*", "").strip(".")
    shallow = sorted(names.all(), key=lambda name: (name.count("."), name))
    close = difflib.get_close_matches(asked, shallow, n=NEAREST, cutoff=0.5)
    close = close or [name for name in shallow if asked and asked in name][:NEAREST]
    if close:
        return f"the nearest names are {', '.join(close)}"
    return f"the model holds {', '.join(name for name in shallow if '.' not in name)}"


def _prefixes(name: str) -> Iterable[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _listed(globs: Iterable[str]) -> str:
    return ", ".join(repr(glob) for glob in globs)
