"""Pickles read without running anything from them.

The interpreter of opcodes is the standard library's own, the one in Python: its memo is a
dictionary, so that a file cannot make it allocate by a large index, as it can the one in C. Each
opcode that would look something up, call it, or touch an object's attributes is replaced.
"""

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from stepscope.checkpoint_files.content import Opaque
from stepscope.checkpoint_files.formats.harmless import (
    RENAMED_MODULES,
    is_harmless,
)
from stepscope.checkpoint_files.formats.rebuilding import rebuilt
from stepscope.checkpoint_files.formats.tensors import Malformed
from stepscope.checkpoint_files.formats.tree import check_tree, checked_key

PICKLE_BYTES = 512 << 20
BUDGET = 48_000_000  # cost of opcodes; 100,000 parameters with the state of Adam take 40,000,000
_CREATING = 4  # the cost of an opcode that makes a container or a memo entry, in plain ones
_NAME = 200  # characters of a global's name

Lookup = Callable[[tuple[object, ...]], object]


class HostileGlobals(Exception):  # noqa: N818  # becomes an UnreadableCheckpoint
    """A pickle asks for globals that are not known to be harmless."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(", ".join(names))


class EndsEarly(Malformed):
    """A pickle goes on where its bytes end."""


def unpickled(data: io.BytesIO, nbytes: int, storage: Lookup | None) -> tuple[Any, set[str]]:
    """Return the tree of the pickle that begins here, and the globals that it names.

    `storage` finds what a persistent id stands for. The position of `data` is then the pickle's
    end.

    Raises:
        HostileGlobals: it asks for others than harmless ones.
        EndsEarly, Malformed: it is damaged, or built to cost more than a checkpoint does.
    """
    reader = _Inert(data, storage)
    problem: Exception | None = None
    tree: object = None
    try:
        tree = reader.load()
    except _DAMAGE as error:
        problem = error
    if reader.unknown:
        raise HostileGlobals(tuple(sorted(reader.unknown)))
    if isinstance(problem, Malformed):
        raise problem
    if problem:
        raise Malformed(f"the pickle is damaged: {_first_line(problem)}") from problem
    check_tree(tree, nbytes)
    return tree, reader.named


class _Inert(pickle._Unpickler):
    """Builds lists, dictionaries, tuples, numbers and text; describes everything else."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {**pickle._Unpickler.dispatch}
    pop_mark: Callable[[], list[Any]]  # of the standard library; not in its published types

    def __init__(self, data: io.BytesIO, storage: Lookup | None) -> None:
        super().__init__(data, encoding="utf-8", errors="replace")
        self._data = data
        self._storage = storage
        self._budget = BUDGET
        self._globals: dict[str, Opaque] = {}
        self.named: set[str] = set()
        self.unknown: set[str] = set()

    def load(self) -> object:
        """Follow the opcodes to the end, or to the end of the budget."""
        self._unframer = pickle._Unframer(self._data.read, self._data.readline)  # type: ignore[attr-defined]
        self.read = self._unframer.read
        self.readline = self._unframer.readline
        self.metastack: list[list[object]] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while True:
                byte = read(1)
                if not byte:
                    raise EndsEarly("its pickle ends in the middle")
                opcode = byte[0]
                self._budget -= _COST[opcode]
                if self._budget < 0:
                    raise Malformed("its pickle takes more steps than any checkpoint does")
                dispatch[opcode](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value

    def find_class(self, module: str, name: str) -> Opaque:
        """Return a name for the global, never the global."""
        full = f"{RENAMED_MODULES.get(module, module)}.{name}"
        return self._named(full, known=is_harmless(full) or full == _GETATTR)

    def persistent_load(self, pid: object) -> object:
        """Return the storage that stands beside the pickle."""
        if self._storage is None or type(pid) is not tuple:
            raise Malformed("its pickle refers to something outside")
        return self._storage(pid)

    def get_extension(self, code: int) -> NoReturn:
        raise Malformed(f"its pickle asks for the registered extension {code}")

    def _named(self, full: str, *, known: bool) -> Opaque:
        full = full[:_NAME]
        if not full.isprintable():  # it will stand in a message on somebody's terminal
            full = ascii(full)[1:-1]
        self.named.add(full)
        if not known:
            self.unknown.add(full)
        return self._globals.setdefault(full, Opaque(full))

    def _called(self, function: object, args: object) -> object:
        if not self._is_global(function) or type(args) is not tuple:
            raise Malformed("its pickle calls something that is no global")
        assert isinstance(function, Opaque)
        if function.name == _GETATTR:
            return self._attribute(args)
        if args and isinstance(args[0], str | bytes | list | dict):
            self._budget -= len(args[0])  # rebuilding may copy it, as often as it is asked to
        return rebuilt(function.name, args)

    def _is_global(self, thing: object) -> bool:
        return isinstance(thing, Opaque) and self._globals.get(thing.name) is thing

    def _attribute(self, args: tuple[object, ...]) -> object:
        """Name a method of a known class, as MMEngine's history buffers do. All else is refused."""
        match args:
            case (Opaque(name=owner) as kind, str(name)) if (
                self._is_global(kind) and name.isidentifier() and not name.startswith("__")
            ):
                return self._named(f"{owner}.{name}", known=owner in _WITH_METHODS)
        return self._named(_GETATTR, known=False)

    def _set(self, target: object, items: list[Any]) -> None:
        entries = target if type(target) is dict else None
        if isinstance(target, Opaque) and not self._is_global(target):
            entries = target.entries
        if entries is None:
            raise Malformed("its pickle sets items of what has none")
        for i in range(0, len(items), 2):
            entries[checked_key(items[i])] = items[i + 1]

    def _extend(self, target: object, items: list[Any]) -> None:
        if isinstance(target, Opaque) and not self._is_global(target):
            target = target.items
        if type(target) is not list:
            raise Malformed("its pickle appends to what is no list")
        target.extend(items)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._called(self.stack[-1], args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._called(self.stack[-1], args)

    def load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        args = self.stack.pop()
        self._budget -= len(args)
        self.stack[-1] = self._called(self.stack[-1], (*args, keywords))

    def load_inst(self) -> None:
        module = self.readline()[:-1].decode("ascii")
        name = self.readline()[:-1].decode("ascii")
        kind = self.find_class(module, name)
        self.append(self._called(kind, tuple(self.pop_mark())))

    def load_obj(self) -> None:
        kind, *args = self.pop_mark()
        self.append(self._called(kind, tuple(args)))

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if self._is_global(target):
            raise Malformed("its pickle changes a class")
        if isinstance(target, Opaque):
            target.state = state
        # Attributes of a dictionary or a tensor (_metadata, hooks) say nothing about the values.

    def load_append(self) -> None:
        item = self.stack.pop()
        self._extend(self.stack[-1], [item])

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._extend(self.stack[-1], items)

    load_additems = load_appends

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        made: dict[Any, Any] = {}
        self._set(made, items)
        self.append(made)

    def load_empty_set(self) -> None:
        self.append(Opaque("builtins.set"))

    def load_frozenset(self) -> None:
        self.append(Opaque("builtins.frozenset", items=self.pop_mark()))

    def load_bytearray8(self) -> None:
        self.append(self.read(struct.unpack("<Q", self.read(8))[0]))

    def load_unicode(self) -> None:
        self.append(_valid(str(self.readline()[:-1], "raw-unicode-escape")))

    def load_binunicode(self) -> None:
        self.append(str(self.read(struct.unpack("<I", self.read(4))[0]), "utf-8", "replace"))

    def load_binunicode8(self) -> None:
        self.append(str(self.read(struct.unpack("<Q", self.read(8))[0]), "utf-8", "replace"))

    def load_short_binunicode(self) -> None:
        self.append(str(self.read(self.read(1)[0]), "utf-8", "replace"))


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_line(problem: Exception) -> str:
    if isinstance(problem, KeyError | IndexError):
        return "an opcode or a reference leads nowhere"
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]


_GETATTR = "builtins.getattr"
_WITH_METHODS = frozenset(
    {
        "mmengine.logging.history_buffer.HistoryBuffer",
        "torch.optim.lr_scheduler.OneCycleLR",
    }
)
_PLAIN = (
    pickle.NONE + pickle.NEWTRUE + pickle.NEWFALSE + pickle.MARK + pickle.POP + pickle.BINGET
    + pickle.BININT + pickle.BININT1 + pickle.BININT2 + pickle.BINFLOAT + pickle.LONG_BINGET
    + pickle.SHORT_BINUNICODE + pickle.BINUNICODE + pickle.STOP + pickle.APPEND + pickle.APPENDS
    + pickle.SETITEM + pickle.SETITEMS + pickle.BUILD + pickle.EMPTY_TUPLE + pickle.LONG1
)  # fmt: skip
_COST = [1 if opcode in _PLAIN else _CREATING for opcode in range(256)]
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,  # the opcodes of the standard library trust what lies on the stack
    AttributeError,
    OverflowError,
    struct.error,
    Malformed,
)
for _opcode, _method in (
    (pickle.REDUCE, _Inert.load_reduce),
    (pickle.NEWOBJ, _Inert.load_newobj),
    (pickle.NEWOBJ_EX, _Inert.load_newobj_ex),
    (pickle.INST, _Inert.load_inst),
    (pickle.OBJ, _Inert.load_obj),
    (pickle.BUILD, _Inert.load_build),
    (pickle.APPEND, _Inert.load_append),
    (pickle.APPENDS, _Inert.load_appends),
    (pickle.ADDITEMS, _Inert.load_additems),
    (pickle.SETITEM, _Inert.load_setitem),
    (pickle.SETITEMS, _Inert.load_setitems),
    (pickle.DICT, _Inert.load_dict),
    (pickle.EMPTY_SET, _Inert.load_empty_set),
    (pickle.FROZENSET, _Inert.load_frozenset),
    (pickle.BYTEARRAY8, _Inert.load_bytearray8),
    (pickle.UNICODE, _Inert.load_unicode),
    (pickle.BINUNICODE, _Inert.load_binunicode),
    (pickle.BINUNICODE8, _Inert.load_binunicode8),
    (pickle.SHORT_BINUNICODE, _Inert.load_short_binunicode),
):
    _Inert.dispatch[_opcode[0]] = _method
