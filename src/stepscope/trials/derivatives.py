"""Takes the derivative of one module in several ways, on a copy of it.

Reverse mode is what training sees. Forward mode passes through `no_grad` and stops at `detach`.
A finite difference shows how the value really changes. Where they differ, a gradient is lost.
"""

import contextlib
import io
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.hooks import RemovableHandle

from stepscope.evidence.gradient_paths import Proof
from stepscope.probes.live_run import LiveRun
from stepscope.probes.value_tracing.arguments import tensors_in
from stepscope.trials.copying import CannotCopy, copy_module, with_tensors
from stepscope.trials.processes import counts, why_not_alone
from stepscope.trials.randomness import RandomStates

_SEED = 20_260  # of our own generator: any fixed number
_WIDTHS = {torch.float64: 1e-6, torch.float32: 1e-3}  # near the cube root of the spacing
_COARSE = 0.1  # wide enough to pass the steps of rounding and of hard choices
_AGREES = 1e-2  # of the output's norm: the same operations, in bfloat16 too


Autocast = dict[str, tuple[bool, torch.dtype]]  # by type of device
_NO_AUTOCAST: Autocast = {
    device: (False, torch.get_autocast_dtype(device)) for device in ("cpu", "cuda")
}


@dataclass(slots=True)
class _Call:
    """What one forward was given, until the backward that follows it is over."""

    step: int
    args: Any
    kwargs: Any
    versions: tuple[int, ...]
    buffers: dict[str, Tensor]
    randomness: RandomStates
    autocast: Autocast
    collectives: tuple[int, ...] | None  # begun by each process group when the forward began
    is_shared: bool = False  # it began some itself
    outputs: list[Tensor] = field(default_factory=list)
    output_versions: tuple[int, ...] = ()
    gradients: dict[int, Tensor] = field(default_factory=dict)  # by position of the output
    handles: list[RemovableHandle] = field(default_factory=list)

    def let_go(self) -> None:
        """Listen no more."""
        for handle in self.handles:
            handle.remove()


@dataclass(slots=True)
class _Task:
    module: weakref.ref[nn.Module]
    name: str
    running: _Call | None = None
    call: _Call | None = None  # the latest that has run, with gradient
    answer: Proof | str = (
        "in no later recorded step did a backward follow the module's last forward"
    )
    done: bool = False

    def let_go(self) -> None:
        """Forget the latest call."""
        if self.call is not None:
            self.call.let_go()
            self.call = None


class DirectionalDerivatives:
    """Proves candidates by running modules again.

    Holds the latest call of a module only, until each optimizer has stepped once.
    """

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._tasks: list[_Task] = []
        run.on_end(self._let_go)

    def ask(self, module: nn.Module, name: str) -> None:
        """Have this module's derivative taken at its next call that a backward follows."""
        self._tasks.append(_Task(weakref.ref(module), name))

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Take hold of the inputs of a module that was asked for."""
        if self._is_within(module):
            return
        for task in self._tasks:
            if not task.done and task.module() is module and module.training:
                given = tensors_in((args, kwargs))
                task.running = _Call(
                    self._run.step,
                    args,
                    kwargs,
                    tuple(tensor._version for tensor in given if not tensor.is_inference()),
                    {name: buffer.clone() for name, buffer in module.named_buffers()},
                    RandomStates.now(given),
                    {
                        device: (
                            torch.is_autocast_enabled(device),
                            torch.get_autocast_dtype(device),
                        )
                        for device in _NO_AUTOCAST
                    },
                    counts(),
                )

    def module_returned(self, module: nn.Module, output: Any) -> None:
        """Listen for the gradients of the outputs."""
        if self._is_within(module):
            return
        for task in self._tasks:
            call = task.running
            if call is None or task.module() is not module:
                continue
            task.running = None
            call.outputs = tensors_in((output,))
            call.is_shared = call.collectives != counts()
            if not any(tensor.requires_grad for tensor in call.outputs):
                continue  # no backward can follow it
            task.let_go()
            task.call = call
            call.output_versions = tuple(tensor._version for tensor in call.outputs)
            for position, tensor in enumerate(call.outputs):
                if tensor.requires_grad:
                    hook = _keeping(call.gradients, position)
                    call.handles.append(tensor.register_hook(hook))

    def _is_within(self, module: nn.Module) -> bool:
        """Tell a call that the module makes of itself, or a backward: no forward of its own."""
        return self._run.in_backward or any(each is module for each in self._run.modules[:-1])

    def backward_returned(self) -> None:
        """Take the derivatives where the gradients of the outputs came."""
        for task in self._tasks:
            call, module = task.call, task.module()
            if task.done or call is None or module is None or not call.gradients:
                continue
            task.let_go()
            task.done = True
            try:
                task.answer = self._prove(task.name, module, call)
            except CannotCopy as why:
                task.answer = str(why)
            except Exception:  # noqa: BLE001 - whatever the program's own code raises on a copy
                reason = traceback.format_exc(limit=0).strip().splitlines()[-1]
                task.answer = f"the module cannot be run again: {reason[:200]}"

    def step_returned(self) -> None:
        """Let go of calls as old as a round of all optimizers: no backward follows them."""
        rounds = len(self._run.optimizers)
        for task in self._tasks:
            if all(each is not task.module() for each in self._run.modules):
                task.running = None  # its forward raised
            if task.call is not None and self._run.step + 1 - task.call.step >= rounds:
                task.let_go()

    def _let_go(self) -> None:
        for task in self._tasks:
            task.running = None
            task.let_go()

    def answer(self, name: str) -> Proof | str:
        """Return the proof, or the reason why there is none."""
        return next(task.answer for task in self._tasks if task.name == name)

    def _prove(self, name: str, module: nn.Module, call: _Call) -> Proof | str:
        if call.collectives != ():
            if call.collectives is None or call.is_shared:
                return "its forward takes part in collectives of several processes"
            if reason := why_not_alone(module):
                return reason
        given = tensors_in((call.args, call.kwargs))
        versions = tuple(tensor._version for tensor in given if not tensor.is_inference())
        if versions != call.versions:
            return "an input was written over in place after the forward"
        with _undisturbed(call.randomness, call.autocast):
            _Again(module, call, None).compare()
        reason = ""
        for dtype in _WIDTHS:
            try:
                with _undisturbed(call.randomness, _NO_AUTOCAST):
                    return _Again(module, call, dtype).proof(name)
            except (RuntimeError, TypeError, ValueError) as why:
                reason = str(why).partition("\n")[0] or type(why).__name__
        return f"the module cannot be run again in float64 or float32: {reason[:200]}"


class _Again:
    """A copy of a module, in one dtype or its own, as a function of its inputs and parameters."""

    def __init__(self, module: nn.Module, call: _Call, dtype: torch.dtype | None) -> None:
        self._copy = copy_module(module).to(dtype)
        self._call = call
        self._dtype = dtype or torch.float64
        self._buffers = {name: _cast(buffer, dtype) for name, buffer in call.buffers.items()}
        given = tensors_in((call.args, call.kwargs))
        self._given = [_cast(tensor.detach(), dtype) for tensor in given]
        names = [name for name, p in self._copy.named_parameters() if p.requires_grad]
        parameters = dict(self._copy.named_parameters())
        self._names = names
        self._floating = [i for i, t in enumerate(self._given) if t.is_floating_point()]
        self._point = [parameters[name].detach() for name in names]
        self._point += [self._given[i] for i in self._floating]
        generator = torch.Generator().manual_seed(_SEED)
        self._direction = [_random_like(tensor, generator) for tensor in self._point]

    def proof(self, name: str) -> Proof:
        """Take the derivative in every way."""
        width = _WIDTHS[self._dtype]
        wide, narrow = self._difference(width), self._difference(width / 2)
        return Proof(
            module=name,
            reverse=self._reverse(),
            forward=self._forward(),
            difference=narrow,
            error=abs(wide - narrow),
            coarse=self._difference(_COARSE),
        )

    def _outputs(self, point: list[Tensor]) -> list[Tensor]:
        state: dict[str, Tensor] = dict(zip(self._names, point, strict=False))
        state.update({name: buffer.clone() for name, buffer in self._buffers.items()})
        given = list(self._given)
        for i, tensor in zip(self._floating, point[len(self._names) :], strict=True):
            given[i] = tensor.clone() if not tensor.requires_grad else tensor * 1
        args, kwargs = with_tensors((self._call.args, self._call.kwargs), iter(given))
        self._call.randomness.restore()
        return tensors_in((functional_call(self._copy, state, args, kwargs),))

    def _value(self, point: list[Tensor]) -> Tensor:
        outputs = self._outputs(point)
        gradients = self._call.gradients.items()
        terms = [(outputs[i] * gradient.to(self._dtype)).sum() for i, gradient in gradients]
        return torch.stack(terms).sum()

    def compare(self) -> None:
        """See that the copy computes what the module computed.

        Raises:
            CannotCopy: it does not.
        """
        with torch.enable_grad():
            outputs = self._outputs(self._point)
        recorded = zip(self._call.outputs, self._call.output_versions, strict=True)
        for (before, version), after in zip(recorded, outputs, strict=True):
            if before._version != version or not before.is_floating_point():
                continue
            wanted = before.detach().float()
            far = (wanted - after.detach().float()).norm()
            if not bool(far <= _AGREES * wanted.norm()):
                raise CannotCopy("a second run of the module does not give its output again")

    def _reverse(self) -> float:
        with torch.enable_grad():
            point = [tensor.clone().requires_grad_() for tensor in self._point]
            gradients = torch.autograd.grad(self._value(point), point, allow_unused=True)
        parts = zip(gradients, self._direction, strict=True)
        return sum(float((g * v).sum()) for g, v in parts if g is not None)

    def _forward(self) -> float | None:
        try:
            # Of the attention kernels only the plain one has a forward formula.
            with forward_ad.dual_level(), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                pairs = zip(self._point, self._direction, strict=True)
                duals = [forward_ad.make_dual(tensor.clone(), v) for tensor, v in pairs]
                tangent = forward_ad.unpack_dual(self._value(duals)).tangent
        except (RuntimeError, NotImplementedError):  # an operation without a forward formula
            return None
        return 0.0 if tangent is None else float(tangent)

    def _difference(self, width: float) -> float:
        ahead, behind = (
            self._value(
                [t + s * width * v for t, v in zip(self._point, self._direction, strict=True)]
            )
            for s in (1, -1)
        )
        return float(ahead - behind) / (2 * width)


def _keeping(gradients: dict[int, Tensor], position: int) -> Callable[[Tensor], None]:
    def keep(gradient: Tensor) -> None:
        known = gradients.get(position)
        gradients[position] = gradient.detach() if known is None else known + gradient.detach()

    return keep


def _random_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random direction as long as the tensor, so that no tensor drowns the others."""
    direction = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    size = tensor.double().pow(2).mean().sqrt().item() if tensor.numel() else 0.0
    return (direction * (size or 1e-3)).to(tensor)


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


@contextlib.contextmanager
def _undisturbed(states: RandomStates, autocast: Autocast) -> Iterator[None]:
    """Run something of the program's again without a trace: random states, output, autocast."""
    before = states.again()
    silence = io.StringIO()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # torch's own about forward mode, and repeated ones
            stack.enter_context(contextlib.redirect_stdout(silence))
            stack.enter_context(contextlib.redirect_stderr(silence))
            for device, (enabled, dtype) in autocast.items():
                if device == "cpu" or torch.cuda.is_available():
                    stack.enter_context(
                        torch.autocast(device, dtype, enabled=enabled, cache_enabled=False)
                    )
            yield
    finally:
        before.restore()
