"""Follows values from parameters and inputs through every operation of the recorded steps."""

import threading
import traceback
import weakref
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.probes.backward_graph import leaves_below
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import running_frame
from stepscope.probes.value_tracing.arguments import numbers_in, plain_in, tensors_in
from stepscope.probes.value_tracing.input_entries import InputEntries
from stepscope.probes.value_tracing.operations import TARGET_POSITION, Kind, kind_of_call
from stepscope.probes.value_tracing.regions import Region
from stepscope.probes.value_tracing.writes import Writes
from stepscope.probes.values import (
    INPUT,
    OPAQUE,
    PARAMETER,
    Calls,
    Escape,
    Line,
    Value,
    carries,
    escapes,
    is_floating,
    set_value,
    value_of,
)

_MOST_VALUES = 500_000  # in one step; about 200 MB of ours, far beyond any step met so far
_MOST_ESCAPES = 10_000
_FURTHEST = 10_000  # parameters looked for below a value that came from elsewhere


class Tracer:
    """Knows what every call does to the values, and makes the new ones."""

    def __init__(self, run: LiveRun, writes: Writes) -> None:
        self.run = run
        self.region = Region()
        self.writes = writes
        self.paused = 0  # opaque code is running
        self.broken = False
        self._thread = threading.get_ident()
        self.stepping = False  # an optimizer is moving the parameters
        self.evaluating = False
        self.calls: Calls = ()
        self.operations = 0
        self.opened = 0  # `operations` when the step began
        self.inside: list[dict[int, Value]] = []  # parameters seen in running checkpoints
        self.entries = InputEntries()
        self._written: dict[int, tuple[weakref.ref[Any], Value]] = {}  # by storage

    # --- what the mode shows

    def is_ours(self) -> bool:
        """Tell whether the thread is the one that is followed."""
        return threading.get_ident() == self._thread

    def guarded(self, look: Callable[[], None]) -> None:
        """Look, unless it is not ours to look; a fault of ours ends the looking."""
        if self.broken or not self.is_ours():
            return
        try:
            with torch._C.DisableTorchFunction():
                look()
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
            self.broken = True
            self.run.faults.append(f"Tracer: {traceback.format_exc()}")

    def seen(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Any,
    ) -> None:
        """Take note of one call that has returned."""
        kind, name = kind_of_call(function)
        if kind is Kind.IGNORED:
            return
        if kind is Kind.GRAD_MODE:
            self.region.turned(on=bool(args[0]) if args else bool(kwargs.get("mode")))
            return
        run = self.run
        if run.looking or run.in_backward:
            return
        if self.paused or self.stepping or self.evaluating:
            if self.inside:
                self.used_inside((*args, *kwargs.values()))
            return
        if kind is Kind.FRESH and not (self._may_carry(args) or self._may_carry(kwargs.values())):
            return
        self.guarded(lambda: self._follow(kind, name, args, kwargs, output))

    def _may_carry(self, arguments: Iterable[Any]) -> bool:
        """Tell quickly, of most calls that no value enters, that there is nothing to follow."""
        for given in arguments:
            if isinstance(given, Tensor):
                if self._written or carries(given) or given.requires_grad:
                    return True
                if type(given) is nn.Parameter:
                    return True
            elif isinstance(given, list | tuple | dict) and tensors_in((given,)):
                return True
        return False

    def _follow(
        self, kind: Kind, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        if kind in (Kind.IN_PLACE, Kind.EACH_IN_PLACE, Kind.DATA_SET):
            self.writes.seen(kind, name, args, kwargs)
        if self.operations - self.opened >= _MOST_VALUES:
            return
        if kind is Kind.ESCAPE:
            self._escaped(name, args, output)
        elif kind is Kind.EACH or kind is Kind.EACH_IN_PLACE:
            self._each(name, args, output if kind is Kind.EACH else args[0])
        elif kind is Kind.FIRST or kind is Kind.DATA:
            self.made(name, args[:1], {}, output)
        elif kind is Kind.DATA_SET:
            self.made("data", args[1:], {}, args[0], in_place=True)
        elif kind is Kind.DERIVATIVE:
            self.made("grad", args, kwargs, output, opaque=True)
        elif kind is Kind.IN_PLACE:
            self.made(name, args, kwargs, args[0] if args else output, in_place=True)
        else:
            in_place = kwargs.get("out") is not None or kwargs.get("inplace") is True
            self.made(name, args, kwargs, output, in_place=in_place)

    def made(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Any,
        *,
        in_place: bool = False,
        opaque: bool = False,
        extra: tuple[Value, ...] = (),
    ) -> None:
        """Give the tensors of `output` a value that was computed from those of the arguments."""
        inputs = tensors_in(args)
        if kwargs:
            inputs += tensors_in(kwargs.values())
        parents, lost = self._origins(inputs, extra)
        if not parents:
            return
        outputs = [output] if isinstance(output, Tensor) else tensors_in((output,))
        for made in outputs:
            if in_place:
                if self._is_state(made, value_of(made)):
                    continue  # parameters and buffers come from nowhere within a step
            elif any(made is each for each in inputs):
                continue  # handed back as it came
            value = self._new(name, parents, made)
            value.constants = numbers_in(args)
            value.opaque = opaque
            value.keywords = plain_in(kwargs) if kwargs else {}
            value.lost = () if value.requires_grad else lost
            self.entries.join(value, made)
            if name in TARGET_POSITION:
                value.is_target = self._targets(name, args, kwargs)
            set_value(made, value)
            if in_place:
                self._remember_storage(made, value)

    def _origins(
        self, inputs: list[Tensor], extra: tuple[Value, ...]
    ) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """Return the values of tensors, and those of them that carry a gradient."""
        parents = list(extra)
        lost = [value for value in extra if value.requires_grad]
        for tensor in inputs:
            value = self.value(tensor)
            if value is not None:
                parents.append(value)
                if value.is_parameter and self.run.modules:
                    value.owner = weakref.ref(self.run.modules[-1])  # it is used
                if tensor.requires_grad:
                    lost.append(value)
        return tuple(parents), tuple(lost)

    def _is_state(self, tensor: Tensor, before: Value | None) -> bool:
        if before is not None and before.is_parameter:
            return True
        known = self.run.names.known
        base = tensor._base if tensor._is_view() else None
        return known(tensor) is not None or (base is not None and known(base) is not None)

    def _new(self, name: str, parents: tuple[Value, ...], made: Tensor) -> Value:
        value = Value(name, parents)
        self.operations += 1
        value.serial = self.operations
        value.step = self.run.step
        value.requires_grad = made.requires_grad
        value.grad_enabled = torch.is_grad_enabled()
        value.floating = is_floating(made)
        value.shape = tuple(made.shape)
        if not value.grad_enabled:
            value.region = self.region.line
        frame = running_frame()
        if frame is not None:
            value.code, value.line = frame.f_code, frame.f_lineno
        value.calls = self.calls
        if self.run.modules:
            value.owner = weakref.ref(self.run.modules[-1])
        return value

    def _targets(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Value, ...]:
        position = TARGET_POSITION[name]
        target = args[position] if len(args) > position else kwargs.get("target")
        value = self.value(target) if isinstance(target, Tensor) else None
        return (value,) if value is not None else ()

    def _each(self, name: str, args: tuple[Any, ...], outputs: Any) -> None:
        if not isinstance(outputs, list | tuple):
            return
        lists = [each for each in args if isinstance(each, list | tuple)]
        for index, made in enumerate(outputs):
            row = tuple(each[index] for each in lists if index < len(each))
            self.made(name, row, {}, made, in_place=name.endswith("_"))

    def _escaped(self, name: str, args: tuple[Any, ...], output: Any) -> None:
        value = self.value(args[0]) if args and isinstance(args[0], Tensor) else None
        if value is None or len(escapes()) >= _MOST_ESCAPES:
            return
        number = float(output) if isinstance(output, float | int) else None
        owner = weakref.ref(self.run.modules[-1]) if self.run.modules else None
        escapes().append(Escape(name, value, number, here(), owner))

    # --- what a tensor carries

    def value(self, tensor: Tensor) -> Value | None:
        """Return the value of a tensor, made now where it is a parameter met for the first time."""
        value = value_of(tensor)
        if value is not None and value.is_parameter:
            value.requires_grad = tensor.requires_grad
            return value
        if self._written:
            later = self._written.get(_storage_key(tensor))
            if later is not None and (value is None or later[1].serial > value.serial):
                value = later[1]
        if value is None:
            return self._first_met(tensor)
        if value.requires_grad or value.operation == INPUT:
            return value
        horizon = max(1, len(self.run.optimizers))
        return value if self.run.step - value.step < horizon else None  # else: state by now

    def _first_met(self, tensor: Tensor) -> Value | None:
        if type(tensor) is not nn.Parameter and not tensor.requires_grad:
            return None
        if tensor.is_leaf:
            value = Value(PARAMETER)
        else:
            value = Value(OPAQUE, self._leaves_below(tensor))
            value.opaque = True
        value.requires_grad = tensor.requires_grad
        value.shape = tuple(tensor.shape)
        value.step = self.run.step
        if value.opaque:
            frame = running_frame()
            if frame is not None:
                value.code, value.line = frame.f_code, frame.f_lineno
        set_value(tensor, value)
        return value

    def _leaves_below(self, tensor: Tensor) -> tuple[Value, ...]:
        leaves: dict[int, Value] = {}
        for leaf in islice(leaves_below(tensor), _FURTHEST):
            value = self.value(leaf)
            if value is not None:
                leaves[id(value)] = value
        return tuple(leaves.values())

    def set_input(self, name: str, tensor: Tensor) -> Value:
        """Make a tensor an input of the model, whatever it carried before."""
        value = Value(INPUT)
        value.leaf = name
        value.inputs = self.entries.bit(name)
        value.floating = is_floating(tensor)
        value.requires_grad = tensor.requires_grad
        value.shape = tuple(tensor.shape)
        value.step = self.run.step
        self.operations += 1
        value.serial = self.operations
        set_value(tensor, value)
        return value

    def step_opened(self) -> None:
        """Begin to count anew."""
        self.opened = self.operations

    def _remember_storage(self, tensor: Tensor, value: Value) -> None:
        try:
            storage = tensor.untyped_storage()
        except (RuntimeError, NotImplementedError):  # sparse, or wrapped by functorch
            return
        key = storage._cdata
        written = self._written

        def forget(_: object) -> None:
            written.pop(key, None)

        known = written.get(key)
        written[key] = (known[0] if known is not None else weakref.ref(storage, forget), value)

    def used_inside(self, arguments: Iterable[Any]) -> None:
        """Note the parameters that a running checkpoint uses."""
        for tensor in tensors_in(arguments):
            if type(tensor) is nn.Parameter and tensor.requires_grad:
                value = self.value(tensor)
                if value is not None:
                    value.owner = weakref.ref(self.run.modules[-1]) if self.run.modules else None
                    for seen in self.inside:
                        seen[id(value)] = value

    def forget(self) -> None:
        """Let go of everything."""
        self._written.clear()


def here() -> Line | None:
    """Return the line that is running."""
    frame = running_frame()
    return (frame.f_code, frame.f_lineno) if frame is not None else None


def _storage_key(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse, or wrapped by functorch
        return 0
