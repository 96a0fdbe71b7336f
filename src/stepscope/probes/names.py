"""Qualified names for live tensors and modules, found without being told the model."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

import torch
from torch import nn

from stepscope.probes.source_lines import forget_variables

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Names:
    """Finds the root modules of the process, and names everything below them.

    A root is a module that no other module holds, with tensors of its own. The names of the only
    root that is trained are those of its `named_parameters()`; other roots lead theirs by the name
    of their variable or class. Wrappers (`DistributedDataParallel`, `torch.compile`) add nothing
    to a name. Names are settled when the first recorded step begins: what is named then keeps its
    name.
    """

    def __init__(self, trained: Callable[[], Iterable[torch.Tensor]]) -> None:
        """`trained` gives the tensors that the optimizers hold now."""
        self._trained = trained
        self._modules: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._tensors: dict[int, tuple[weakref.ref[torch.Tensor], str]] = {}
        self._aliases: dict[int, list[str]] = {}
        self._roots: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._loose: dict[int, tuple[weakref.ref[torch.Tensor], str]] = {}
        self._given: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._called: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()
        self._settled = False
        self._fresh = False
        self._incomplete = False  # a module was called that no root is known to hold

    def give(self, roots: Mapping[str, nn.Module]) -> None:
        """Take roots with the name that leads those of their tensors: "" for none."""
        self._given.update({module: name for name, module in roots.items()})
        self._fresh = False

    def called(self, module: nn.Module) -> None:
        """Take note of a module that the program calls from outside of any other."""
        if module not in self._called:
            self._called[module] = len(self._called)

    def called_within(self, module: nn.Module) -> None:
        """Take note of a module that another one calls: it may have made it only now."""
        if module not in self._modules and module.__dict__.get("_parameters"):
            self._incomplete = True

    def grow_stale(self, *, settle: bool = False) -> None:
        """Let the next question look for modules again: the program has moved on."""
        self._fresh = False
        self._settled = self._settled or settle

    def refresh(self) -> None:
        """Look for modules. About 0.1 s in a process with 10^6 objects."""
        if self._fresh:
            return
        self._fresh, self._incomplete = True, False
        modules = [m for m in gc.get_objects() if issubclass(type(m), nn.Module)]
        known = {id(module) for module in modules}
        modules += [m for m in list(self._called) if id(m) not in known]  # after gc.freeze()
        held = {id(child) for m in modules for child in m.__dict__.get("_modules", {}).values()}
        alone = [m for m in modules if id(m) not in held and "_modules" in m.__dict__]
        given = list(self._given)
        others = [module for module in alone if module not in self._given]
        roots = _independent(given, sorted(others, key=self._rank()))
        if not self._settled:
            self._modules.clear()
            self._tensors.clear()
            self._aliases.clear()
            self._roots.clear()
        for root in given:
            self._roots.setdefault(root, self._given[root])
        self._prefix(roots)
        for root in roots:
            for name, module in root.named_modules(remove_duplicate=True):
                qualified = _join(self._roots[root], _plain(root, name))
                self._modules.setdefault(module, qualified)
                for key, tensor in _own_tensors(module):
                    self._name_tensor(tensor, _join(qualified, key))
        self._settled = self._settled and bool(roots)

    def _rank(self) -> Callable[[nn.Module], tuple[int, int, str]]:
        """Return an order that does not depend on where objects lie in memory."""
        trained = {id(tensor): i for i, tensor in enumerate(self._trained())}
        last = max(len(trained), len(self._called))

        def rank(module: nn.Module) -> tuple[int, int, str]:
            held = (trained.get(id(p), last) for p in module.parameters())
            kind = type(module)
            name = f"{kind.__module__}.{kind.__qualname__}"
            return self._called.get(module, last), min(held, default=last), name

        return rank

    def _prefix(self, roots: list[nn.Module]) -> None:
        trained = {id(tensor) for tensor in self._trained()}
        taught = [root for root in roots if any(id(p) in trained for p in root.parameters())]
        taken = set(self._roots.values())
        for root in roots:
            if root in self._roots:
                continue
            prefix = ""
            if taught != [root] or "" in taken:
                prefix = first = _variable(root) or type(root).__name__
                count = 1
                while prefix in taken:
                    count += 1
                    prefix = f"{first}{count}"
            taken.add(prefix)
            self._roots[root] = prefix

    def _name_tensor(self, tensor: torch.Tensor, name: str) -> None:
        known = self.known(tensor)
        if known is None:
            self._tensors[id(tensor)] = (weakref.ref(tensor), name)
            self._aliases.pop(id(tensor), None)
        elif known != name and name not in self._aliases.setdefault(id(tensor), []):
            self._aliases[id(tensor)].append(name)

    def roots(self) -> list[nn.Module]:
        """Return the live roots: those that were there, or have been called since."""
        if not self._settled or not self._roots or self._incomplete:
            self.refresh()
        return list(self._roots)

    def module(self, module: nn.Module) -> str:
        """Return the qualified name of a module; "" is the root."""
        if module not in self._modules:
            self.refresh()
        return self._modules.setdefault(module, type(module).__name__)

    def tensor(self, tensor: torch.Tensor) -> str:
        """Return the qualified name of a parameter or buffer, of any other tensor a made-up one."""
        if self.known(tensor) is None:
            self.refresh()
        name = self.known(tensor)
        if name is not None:
            return name
        loose = self._loose.get(id(tensor))
        if loose is None or loose[0]() is not tensor:
            name = f"tensor{len(self._loose) + 1} {tuple(tensor.shape)}"
            loose = self._loose[id(tensor)] = (weakref.ref(tensor), name)
        return loose[1]

    def known(self, tensor: torch.Tensor) -> str | None:
        """Return the qualified name of a tensor, without looking for modules again."""
        found = self._tensors.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def aliases(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """Return its further names: tied weights."""
        return tuple(self._aliases.get(id(tensor), ()))


def _independent(given: list[nn.Module], candidates: list[nn.Module]) -> list[nn.Module]:
    """Return the given ones, and those that hold tensors which no larger one holds.

    The largest come first, then the order is kept.

    A slice of a model, or a list of some of its layers, is no model of its own.
    """
    below = [(module, _held_by(module)) for module in candidates]
    known = {key for module in given for key in _held_by(module)}
    roots = list(given)
    for module, tensors in sorted(below, key=lambda pair: len(pair[1]), reverse=True):
        if not tensors <= known:
            roots.append(module)
            known |= tensors
    return roots


def _held_by(module: nn.Module) -> set[int]:
    return {id(tensor) for m in module.modules() for _, tensor in _own_tensors(m)}


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for store in ("_parameters", "_buffers"):
        for key, tensor in module.__dict__.get(store, {}).items():
            if isinstance(tensor, torch.Tensor):
                yield key, tensor


def _plain(root: nn.Module, name: str) -> str:
    """Leave out the parts of a name that wrappers put in."""
    parts: list[str] = []
    module: nn.Module = root
    for part in name.split(".") if name else ():
        if part not in _WRAPPED and not (isinstance(module, _WRAPPERS) and part == "module"):
            parts.append(part)
        child = module._modules[part]
        assert child is not None, "named_modules walks over no empty places"
        module = child
    return ".".join(parts)


def _variable(root: nn.Module) -> str:
    """Return the name of a variable of the running functions, or of the script, that holds it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(("torch.", "stepscope.")):
            held = frame.f_locals
            names = (name for name, value in held.items() if value is root)
            found = next((n for n in names if n not in ("self", "module", "root", "m")), "")
            del names
            forget_variables(frame, held)
            if found:
                return found
        frame = frame.f_back
    return next((k for k, v in vars(sys.modules["__main__"]).items() if v is root), "")


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name
