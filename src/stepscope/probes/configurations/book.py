"""All configurations of a run, and who reads them."""

import contextlib
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

import torch

from stepscope.core import Place
from stepscope.evidence.course.readings import Phase
from stepscope.probes.configurations.asking import is_own, program_line
from stepscope.probes.configurations.contents import can_tell, inner, is_watchable
from stepscope.probes.configurations.known import Known
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import place_of

MOST = 4096  # reads that are told apart at a glance


@dataclass(frozen=True, slots=True)
class _Node:
    """A table of a configuration. Those that compare by value have no hash: known by their id."""

    held: Callable[[], object | None]
    known: Known
    prefix: str  # "model." of its keys


class Book:
    """Keeps what is read of the configurations that it was told of.

    They stay what they are, and of their classes too: only the ways in which those look up
    attributes and items go by here. Nothing is heard before `begin`, and nothing after `close`.
    """

    def __init__(self, run: LiveRun, hear: Callable[["Book", LiveRun, type], None]) -> None:
        """`hear` puts wrappers on a class that tell of reads here."""
        self.run = run
        self.known: list[Known] = []
        self.is_over = False
        self.is_unheard = False  # the compiler cannot go through classes that tell of reads
        self._patches = LiveRun(0)
        self._hear = hear
        self._nodes: dict[int, _Node] = {}
        self._classes: weakref.WeakSet[type] = weakref.WeakSet()
        self._marks: set[tuple[int, str, int, int, Phase]] = set()  # reads that are known
        self._is_deaf = False

    def begin(
        self, root: object, kind: str, at: Place, *, given: Iterable[str] = (), grows: bool = True
    ) -> Known:
        """Take in a configuration; one that is known already is only looked at again."""
        with self.quietly():
            if self.knows(root):
                known, prefix = self._nodes[id(root)].known, self._nodes[id(root)].prefix
            else:
                known, prefix = Known(kind=kind, root=reference(root), at=at, grows=grows), ""
                self.known.append(known)
            self._register(root, known, prefix)
            known.given |= frozenset(given)
            known.look()
        return known

    def close(self) -> None:
        """Hear nothing any more."""
        self.is_over = True
        self._patches.unpatch()
        self._nodes.clear()

    def stop_hearing(self) -> None:
        """Give the classes back as they were. What is known stays, and is not all."""
        self.is_unheard = True
        self._patches.unpatch()

    def failed(self) -> None:
        """Go deaf by a fault of ours: half of the reads is worse than none."""
        self.is_over = True
        self.run.faults.append(f"configurations: {traceback.format_exc()}")

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Look without hearing oneself."""
        before, self._is_deaf = self._is_deaf, True
        try:
            yield
        finally:
            self._is_deaf = before

    @contextlib.contextmanager
    def attending(self) -> Iterator[None]:
        """Look from inside a patched function: quietly, and keeping faults from the program."""
        with self.quietly():
            try:
                yield
            except Exception:  # noqa: BLE001 - whatever it is, it is not the program's
                self.failed()

    def is_deaf(self) -> bool:
        """Tell whether reads are none of the program's."""
        return self._is_deaf or self.is_over or self.run.looking

    def knows(self, table: object) -> bool:
        """Tell whether a table belongs to a configuration here, at the least price."""
        node = self._nodes.get(id(table))
        return node is not None and node.held() is table

    def holds(self, table: object, name: str) -> bool:
        """Tell whether a table that is known has a setting of this name."""
        node = self._nodes[id(table)]
        return node.prefix + name in node.known.keys

    def read(self, table: object, name: str, value: object, frame: FrameType) -> None:
        """Take note that a table was asked for a value, which may be a table itself."""
        phase = self._phase()
        mark = id(table), name, id(frame.f_code), frame.f_lineno, phase
        if mark in self._marks or self.knows(value):
            return
        node = self._nodes[id(table)]
        if is_watchable(value):
            with self.quietly():
                self._register(value, node.known, f"{node.prefix}{name}.")
        elif not is_own(frame):
            node.known.read(node.prefix + name, phase, frame.f_code, frame.f_lineno)
            if len(self._marks) < MOST:
                self._marks.add(mark)

    def read_whole(self, table: object, frame: FrameType) -> None:
        """Take note that all of a table was read at once, unless it is only written down."""
        node = self._nodes[id(table)]
        if is_own(frame):
            return
        line = program_line(frame)
        if line is None:
            return
        if node.prefix:
            node.known.read_table(node.prefix, self._phase(), line.f_code, line.f_lineno)
        elif node.known.handed_on is None:
            node.known.handed_on = place_of(line.f_code, line.f_lineno)
            with self.quietly():
                node.known.look()

    def _phase(self) -> Phase:
        if not self.run.step:
            return Phase.BUILD
        return Phase.TRAINING if torch.is_grad_enabled() else Phase.EVALUATION

    def _register(self, table: object, known: Known, prefix: str) -> None:
        self._marks.clear()  # an id may have been that of another table
        for each in {id(table): table, id(below := inner(table)): below}.values():
            self._nodes[id(each)] = _Node(self._held(each), known, prefix)
            is_new = type(each) not in self._classes and can_tell(type(each))
            if is_new and not self.is_unheard:
                self._classes.add(type(each))
                self._hear(self, self._patches, type(each))

    def _held(self, table: object) -> Callable[[], object | None]:
        key, nodes = id(table), self._nodes
        return reference(table, lambda _: nodes.pop(key, None))


def reference(
    value: object, gone: Callable[[object], object] | None = None
) -> Callable[[], object | None]:
    """Refer to an object without keeping it, where its class allows that."""
    try:
        return weakref.ref(value, gone)
    except TypeError:  # a data class with slots
        return lambda: value
