"""Watches the standard loss functions of `torch.nn.functional`, and similarities behind them."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stepscope.core import Evidence, Place
from stepscope.evidence.losses import LossCall, LossCalls, Similarities, Similarity
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.loss_graph import Key, below, is_plain, key_of
from stepscope.probes.loss_inputs import FIELDS, of_classes, of_elements
from stepscope.probes.probe import Probe
from stepscope.probes.similarity_graph import Product, made_by, product_above, row_norms
from stepscope.probes.source_lines import running_line

OVER_CLASSES = ("cross_entropy", "nll_loss")
FUNCTIONS = (
    *OVER_CLASSES,
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "triplet_margin_loss",
    "cosine_embedding_loss",
)
_SUM_TOLERANCE = {
    torch.float32: 1e-3,
    torch.float64: 1e-3,
    torch.float16: 1e-2,
    torch.bfloat16: 3e-2,
}


@dataclass(slots=True)
class _Call:
    function: str
    step: int
    key: Key
    at: Place
    module: str
    rows: int
    dtype: torch.dtype
    reduction: str
    weighted: bool
    label_smoothing: float
    produced_by: str
    numbers: Tensor  # value, FIELDS, norms: on the device until the step is over
    scale: float | None = None
    scale_from: str = ""
    exponential: bool = False
    shape: tuple[int, int] | None = None  # of the similarity matrix
    reaches: bool = False
    read: tuple[float, ...] = ()


class LossCallsProbe(Probe):
    """Looks at the calls made with gradients on, during the work that leads to a step."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._lookout = Lookout(run, type(self).__name__)
        self._calls: list[_Call] = []
        self._unread: list[_Call] = []
        self._waiting: dict[Key, _Call] = {}  # no backward has reached them yet
        self._inside = False
        for name in FUNCTIONS:
            run.patch(functional, name, partial(self._around, name))

    def _around(self, name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        signature = inspect.signature(function)

        def observed(*args: Any, **kwargs: Any) -> Tensor:
            if self._inside or not self._lookout.is_open() or not torch.is_grad_enabled():
                return function(*args, **kwargs)
            self._inside = True
            try:
                value = function(*args, **kwargs)
            finally:
                self._inside = False
            if isinstance(value, Tensor) and value.grad_fn is not None:
                with self._lookout.looking():
                    self._look(name, signature.bind(*args, **kwargs), value)
            return value

        return observed

    def _look(self, name: str, bound: inspect.BoundArguments, value: Tensor) -> None:
        bound.apply_defaults()
        given = bound.arguments
        first: Tensor = given.get("input", next(iter(given.values())))
        target = given.get("target")
        if not is_plain(first) or not is_plain(value) or not first.numel():
            return
        classes = name in OVER_CLASSES
        rows = (
            first.numel() // first.shape[0 if first.dim() == 1 else 1] if classes else first.numel()
        )
        ignore = given.get("ignore_index", -100)
        facts = of_classes(first, target, ignore) if classes else of_elements(first)  # type: ignore[arg-type]  # a loss over classes has a target
        single = (
            value.detach().float().reshape(1)
            if value.numel() == 1
            else facts.new_full((1,), torch.nan)
        )
        call = _Call(
            function=name, step=self.run.step, key=key_of(value.grad_fn), at=running_line(),
            module=self._module(), rows=rows, dtype=first.dtype,
            reduction=str(given.get("reduction", "mean")),
            weighted=given.get("weight") is not None or given.get("pos_weight") is not None,
            label_smoothing=float(given.get("label_smoothing", 0.0)),
            produced_by=made_by(first), numbers=torch.cat([single, facts]),
        )  # fmt: skip
        if name == "cross_entropy" and first.dim() == 2 and (product := product_above(first)):  # noqa: PLR2004
            self._compare(call, product, (first.shape[0], first.shape[1]))
        self._calls.append(call)
        self._unread.append(call)
        self._waiting[call.key] = call

    def _compare(self, call: _Call, product: Product, shape: tuple[int, int]) -> None:
        scale = product.scale
        call.scale = scale.factor if scale.found else None
        call.exponential = scale.exponential
        if scale.source is not None:
            name = self.run.names.tensor(scale.source)
            call.scale_from = "" if name.startswith("tensor") else name  # no module holds it
        norms = row_norms(product)
        if norms is not None:
            call.numbers = torch.cat([call.numbers, norms])
            call.shape = shape

    def _module(self) -> str:
        for module in reversed(self.run.modules):
            if not type(module).__module__.startswith("torch.nn.modules"):
                return self.run.names.module(module)
        return ""

    def backward_called(self, roots: tuple[Tensor, ...]) -> None:
        """Mark the calls that this backward reaches."""
        if not self._waiting:
            return
        for node in below(root.grad_fn for root in roots if root.grad_fn is not None):
            call = self._waiting.pop(key_of(node), None)
            if call is not None:
                call.reaches = True
                if not self._waiting:
                    return

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Read the numbers of the step."""
        self._read()

    def _read(self) -> None:
        """Wait for each device once, and read all that is known of the step's calls."""
        for device in {call.numbers.device for call in self._unread}:
            calls = [call for call in self._unread if call.numbers.device == device]
            numbers = torch.cat([call.numbers for call in calls]).tolist()
            for call in calls:
                size = call.numbers.numel()
                call.read, numbers = tuple(numbers[:size]), numbers[size:]
                call.numbers = call.numbers.new_empty(0)
        self._unread.clear()

    def evidence(self) -> Iterator[Evidence]:
        """Give the calls, and the similarities behind them."""
        self._read()
        if self._calls:
            yield LossCalls(calls=tuple(_frozen(call) for call in self._calls))
        compared = tuple(_similarity(call) for call in self._calls if call.shape is not None)
        if compared:
            yield Similarities(similarities=compared)


def _known(number: float) -> float | None:
    return None if number != number else number  # noqa: PLR0124 - nan stands for unknown


def _frozen(call: _Call) -> LossCall:
    value, *rest = call.read
    seen = dict(zip(FIELDS, rest, strict=False))
    fewest, most = seen["fewest"], seen["most"]
    classes = call.function in OVER_CLASSES
    return LossCall(
        function=call.function,
        step=call.step,
        value=_known(value) if call.reduction != "none" else None,
        rows=call.rows,
        candidates=int(most) if classes and fewest == most else None,
        lowest=seen["lowest"],
        highest=seen["highest"],
        sums_to_one=classes
        and most > 1
        and seen["sum_error"] < _SUM_TOLERANCE.get(call.dtype, 1e-2),
        produced_by=call.produced_by,
        ignored=_known(seen["ignored"]) or 0.0,
        majority=_known(seen["majority"]) if seen["majority"] >= 0 else None,
        diagonal=seen["diagonal"] == 1.0,
        repeated=_known(seen["repeated"]) or 0.0,
        label_smoothing=call.label_smoothing,
        reduction=call.reduction,
        weighted=call.weighted,
        log_total=_known(seen["log_total"]),
        scale=call.scale,
        scale_from=call.scale_from,
        unit_norm=_is_unit(call),
        reaches_backward=call.reaches,
        at=call.at,
        module=call.module,
    )


def _is_unit(call: _Call) -> bool | None:
    if call.shape is None:
        return None
    shortest, longest = call.read[-2:]
    return abs(shortest - 1) < 2e-2 and abs(longest - 1) < 2e-2  # noqa: PLR2004 - half precision


def _similarity(call: _Call) -> Similarity:
    assert call.shape is not None
    return Similarity(
        step=call.step,
        rows=call.shape[0],
        columns=call.shape[1],
        shortest=call.read[-2],
        longest=call.read[-1],
        scale=call.scale,
        scale_from=call.scale_from,
        exponential=call.exponential,
        diagonal=call.read[1 + FIELDS.index("diagonal")] == 1.0,
        dtype=str(call.dtype).removeprefix("torch."),
        at=call.at,
    )
