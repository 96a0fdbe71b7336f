"""A rule: a pure function from evidence to findings, and the name it is known by."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType, UnionType
from typing import get_args, get_type_hints

from stepscope.core.evidence import Evidence, Moment
from stepscope.core.finding import Finding, Severity

Findings = Iterable[Finding]


class NotJudged(Exception):  # noqa: N818 - an answer, not an error
    """Raised by a rule that has its evidence and still cannot tell. Its text is the reason."""


@dataclass(frozen=True, slots=True)
class Need:
    """One positional parameter of a rule: a kind of evidence, needed or only welcome."""

    kind: type[Evidence]
    optional: bool  # annotated `Kind | None`: the rule judges without it too


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue. Made by the decorator `rule`, never by hand."""

    code: str  # "OPT001": stable for ever, never used again for another rule
    severity: Severity  # of its findings, where a finding does not say otherwise
    judge: Callable[..., Findings]
    needs: Mapping[str, Need]  # positional parameters of `judge`
    options: Mapping[str, object]  # keyword-only parameters of `judge`, with defaults

    @property
    def name(self) -> str:
        """The name that goes with the code: `frozen-by-zero-lr`."""
        return self.judge.__name__.replace("_", "-")

    @property
    def moment(self) -> Moment:
        """The first moment at which all that it needs is known."""
        kinds = [need.kind for need in self.needs.values() if not need.optional]
        return max((kind.moment for kind in kinds), default=Moment.BEFORE)

    @property
    def module(self) -> ModuleType:
        """The file it lives in."""
        return sys.modules[self.judge.__module__]

    def __reduce__(self) -> tuple[Callable[[str, str], "Rule"], tuple[str, str]]:
        """Be pickled by its place: programs hand callbacks that hold rules to other processes."""
        return _living_in, (self.judge.__module__, self.judge.__name__)

    @property
    def page(self) -> str:
        """What the catalogue says of this rule: the docstring of its file."""
        return inspect.cleandoc(self.module.__doc__ or "")


def _living_in(module: str, name: str) -> Rule:
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Rule), "file = function = name, in all of the catalogue"
    return found


def rule(code: str, severity: Severity) -> Callable[[Callable[..., Findings]], Rule]:
    """Make a function a rule. Its signature says the rest.

    Positional parameters are the evidence it needs, by type (`Kind`, or `Kind | None` where it
    can judge without); keyword-only parameters are its options, with their defaults.

    Raises:
        TypeError: a positional parameter is not annotated with a kind of evidence.
    """

    def make(judge: Callable[..., Findings]) -> Rule:
        hints = get_type_hints(judge)
        needs: dict[str, Need] = {}
        options: dict[str, object] = {}
        for name, parameter in inspect.signature(judge).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                options[name] = parameter.default
            else:
                needs[name] = _need(code, name, hints.get(name))
        return Rule(code, severity, judge, MappingProxyType(needs), MappingProxyType(options))

    return make


def _need(code: str, name: str, hint: object) -> Need:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    optional = isinstance(hint, UnionType)
    (kind,) = kinds if optional and len(kinds) == 1 else (hint,)
    if isinstance(kind, type) and issubclass(kind, Evidence):
        return Need(kind, optional)
    raise TypeError(f"{code}: annotate {name!r} with the evidence it takes, not {hint!r}")
