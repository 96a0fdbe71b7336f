"""What other than an optimizer writes into parameters."""

import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from stepscope.core import Place
from stepscope.evidence.parameters import ParameterWrites, Write
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import place_of, running_frame
from stepscope.probes.value_tracing.arguments import tensors_in
from stepscope.probes.value_tracing.operations import Kind
from stepscope.probes.values import Line, Value, value_of

_KEPT = 4  # writes of one parameter: the last ones tell what it holds
_SHAPES_STATE = frozenset(("requires_grad_", "share_memory_", "detach_", "set_", "resize_"))
_LOADING = "load_state_dict"


class Writes:
    """Keeps the last writes into each parameter, from the first load or step on."""

    def __init__(self, run: LiveRun) -> None:
        self.run = run
        self.begun = False
        self.value: Callable[[Tensor], Value | None] = value_of
        self._storages: dict[int, weakref.ref[Tensor]] = {}
        self._writes: dict[int, tuple[weakref.ref[Tensor], deque[_Seen]]] = {}

    def seen(self, kind: Kind, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at an operation that changed its first argument."""
        if not args and "tensor" in kwargs:
            args = (kwargs["tensor"],)  # as torch.nn.init hands its calls on
        if not args or name in _SHAPES_STATE:
            return
        targets = tensors_in(args[0]) if kind is Kind.EACH_IN_PLACE else args[:1]
        for target in targets:
            parameter = self._parameter(target)
            if parameter is None:
                continue
            line = _line()
            loading = _is_loading()
            self.begun = self.begun or loading
            if self.begun:
                operation = "data =" if kind is Kind.DATA_SET else _LOADING if loading else name
                sources = [t for t in tensors_in((*args[1:], *kwargs.values())) if t is not target]
                from_parameters = not loading and any(
                    self.value(source) is not None for source in sources
                )
                self._keep(
                    parameter,
                    _Seen(operation, line, self.run.step, from_parameters=from_parameters),
                )

    def _parameter(self, target: Any) -> Tensor | None:
        if isinstance(target, nn.Parameter):
            return target
        if not isinstance(target, Tensor):
            return None
        value = value_of(target)  # `p.data.copy_` and views of `p`: their value comes from `p`
        while value is not None and _is_alias(value.operation):
            (value, *_) = value.parents
            if value.is_parameter:
                found = value.tensor() if value.tensor is not None else None
                if found is not None and _share(found, target):
                    return found
        return None

    def _keep(self, parameter: Tensor, seen: "_Seen") -> None:
        known = self._writes.get(id(parameter))
        if known is None or known[0]() is not parameter:
            known = self._writes[id(parameter)] = (weakref.ref(parameter), deque(maxlen=_KEPT))
        known[1].append(seen)

    def evidence(self) -> ParameterWrites:
        """Name the parameters that still live."""
        writes: list[Write] = []
        for reference, seen in self._writes.values():
            parameter = reference()
            name = None if parameter is None else self.run.names.known(parameter)
            if name is not None:
                writes.extend(each.write(name) for each in seen)
        return ParameterWrites(writes=tuple(writes))


class _Seen:
    __slots__ = ("from_parameters", "line", "operation", "step")

    def __init__(
        self, operation: str, line: Line | None, step: int, *, from_parameters: bool
    ) -> None:
        self.operation = operation
        self.from_parameters = from_parameters
        self.line = line
        self.step = step

    def write(self, parameter: str) -> Write:
        at = place_of(*self.line) if self.line is not None else Place()
        at = Place(
            parameter=parameter, file=at.file, line=at.line, function=at.function, step=self.step
        )
        return Write(
            parameter=parameter,
            operation=self.operation,
            from_parameters=self.from_parameters,
            at=at,
        )


def _is_alias(operation: str) -> bool:
    """Tell what gives the memory of its first argument: `p.data.mul_(m).add_(q)` goes on."""
    in_place = operation.endswith("_") and not operation.endswith("__")
    return in_place or operation in ("data", "detach", "__getitem__", "view")


def _share(one: Tensor, other: Tensor) -> bool:
    try:
        return bool(one.untyped_storage()._cdata == other.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse, or wrapped by functorch
        return False


def _line() -> Line | None:
    frame = running_frame()
    return (frame.f_code, frame.f_lineno) if frame is not None else None


def _is_loading() -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == _LOADING:
            return True
        frame = frame.f_back  # type: ignore[assignment]  # the outermost frame has none
    return False
