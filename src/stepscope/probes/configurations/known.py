"""One configuration, and what is known of its reads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import CodeType

from stepscope.core import Place
from stepscope.evidence.course.readings import ConfigurationRead, DeclaredModule, Phase, Read
from stepscope.probes.configurations.call_sites import read_at
from stepscope.probes.configurations.contents import declared_modules, judged, leaves

MOST = 1024  # reads of one configuration that are kept; the first of each key always is


@dataclass(slots=True, kw_only=True)
class Known:
    """A configuration by what it holds: the object itself may be gone before the run ends."""

    kind: str
    root: Callable[[], object | None]
    at: Place
    keys: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()  # keys of what is true or false
    given: frozenset[str] = frozenset()
    unseen: str = ""
    grows: bool = True  # keys that are set later count too
    modules: tuple[DeclaredModule, ...] = ()
    handed_on: Place | None = None
    _reads: dict[tuple[str, Phase, int, int], CodeType] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _tables: dict[str, tuple[CodeType, int, Phase]] = field(default_factory=dict)

    def look(self) -> None:
        """Take in what it holds now, if it is still there."""
        root = self.root()
        if root is None:
            return
        found = leaves(root)
        if self.grows or not self.keys:
            self.keys = judged(found)
        self.flags = frozenset(key for key, value in found.items() if isinstance(value, bool))
        self.modules = declared_modules(root)

    def read(self, key: str, phase: Phase, code: CodeType, line: int) -> None:
        """Keep the first read at a line in a phase."""
        if len(self._reads) < MOST or key not in self._read:
            self._reads[key, phase, id(code), line] = code
            self._read.add(key)

    def read_table(self, prefix: str, phase: Phase, code: CodeType, line: int) -> None:
        """Keep that all below a prefix was read at once: a part of it, "model.", was handed on."""
        self._tables.setdefault(prefix, (code, line, phase))

    def told(self) -> ConfigurationRead:
        """Describe how it was used."""
        self.look()
        given = [key for key in sorted(self.keys) if key in self.given]
        return ConfigurationRead(
            kind=self.kind,
            keys=tuple(sorted(self.keys)),
            given=tuple(given),
            switches=tuple(key for key in given if key in self.flags),
            reads=tuple(self._all_reads()),
            handed_on=self.handed_on,
            unseen=self.unseen,
            modules=self.modules,
            at=self.at,
        )

    def _all_reads(self) -> Iterable[Read]:
        for (key, phase, _, line), code in self._reads.items():
            yield read_at(key, phase, code, line)
        for prefix, (code, line, phase) in self._tables.items():
            for key in sorted(self.keys - self._read):
                if key.startswith(prefix):
                    yield read_at(key, phase, code, line)
