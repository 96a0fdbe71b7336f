"""What the standard loss functions were given, and what went wrong on the way to them."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class LossCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a loss function of `torch.nn.functional` in a training step."""

    function: str  # "cross_entropy"
    step: int
    value: float | None  # of a reduced loss
    rows: int  # predictions (rows of logits, or elements)
    candidates: int | None  # N: classes that compete in a row (masked -inf columns left out)
    lowest: float  # of the input
    highest: float
    sums_to_one: bool  # every row is non-negative and sums to 1
    produced_by: str  # the operation that made the input: "softmax", "linear", "" unknown
    ignored: float  # share of the targets equal to `ignore_index`, or of rows without a target
    majority: float | None = None  # share of the most frequent class among the targets
    diagonal: bool = False  # targets are 0..N-1: each row's positive is its own column
    repeated: float = 0.0  # share of the rows in which another column holds the target's logit too
    label_smoothing: float = 0.0
    reduction: str = "mean"
    weighted: bool = False  # class or element weights were given
    log_total: float | None = None  # largest logsumexp of a row: 0 for log-probabilities
    scale: float | None = None  # the single number that multiplies the logits, where there is one
    scale_from: str = ""  # the parameter it was computed from
    unit_norm: bool | None = None  # the logits are cosines times `scale`; None: unknown
    reaches_backward: bool = True
    at: Place  # line that called it
    module: str = ""


class LossCalls(Evidence, frozen=True, kw_only=True):
    """Calls of the standard loss functions in the recorded steps, in order."""

    obtained_by: ClassVar[str] = "a call of a loss function of torch"
    calls: tuple[LossCall, ...]


class SwallowedException(msgspec.Struct, frozen=True, kw_only=True):
    """An exception that left a module's forward, after which training went on."""

    module: str
    kind: str  # "ValueError"
    message: str
    raised_at: Place  # the deepest line of the program's own files
    caught_at: Place | None  # the line whose `except` took it, where known
    steps: tuple[int, ...]  # recorded steps in which it happened
    retried: bool = False  # the same module then ran without raising, in the same step
    trained: bool = True  # called with gradients on, and it or its inputs are trained
    own_class: bool = False  # the program defines the class of the exception itself


class SwallowedExceptions(Evidence, frozen=True, kw_only=True):
    """Exceptions that left a forward in the recorded steps. Empty is a fact too."""

    obtained_by: ClassVar[str] = "a forward of a module in a recorded step"
    exceptions: tuple[SwallowedException, ...]
    module_calls: int  # forwards that were watched


class Similarity(msgspec.Struct, frozen=True, kw_only=True):
    """A matrix of similarities that became the logits of a loss (InfoNCE and its kin)."""

    step: int
    rows: int
    columns: int
    shortest: float  # smallest row norm over both operands
    longest: float
    scale: float | None  # factor between similarities and logits, where it is one number
    scale_from: str  # the parameter it was computed from, "" for a constant
    exponential: bool  # exp() was taken on the way
    diagonal: bool  # the targets are each row's own column
    dtype: str = "float32"  # of the operands
    at: Place


class Similarities(Evidence, frozen=True, kw_only=True):
    """The similarity matrices of the recorded steps."""

    obtained_by: ClassVar[str] = "a matrix product that feeds a cross-entropy"
    similarities: tuple[Similarity, ...]


class Temperature(msgspec.Struct, frozen=True, kw_only=True):
    """A single-element parameter or buffer that scales logits."""

    name: str
    dtype: str
    values: tuple[float, ...]  # raw, after each recorded step
    exponential: bool  # used through exp()
    trainable: bool
    clamp: tuple[float | None, float | None] = (None, None)  # bounds it was clamped to, if any


class Temperatures(Evidence, frozen=True, kw_only=True):
    """Scales by name (`logit_scale`, `temperature`, `tau`) or by what `exp` was taken of."""

    obtained_by: ClassVar[str] = "a single-element scale parameter in the model"
    temperatures: tuple[Temperature, ...]


class Gather(msgspec.Struct, frozen=True, kw_only=True):
    """A collective whose results feed a loss."""

    operation: str  # "all_gather"
    world_size: int
    differentiable: bool  # its results carry gradient
    own_part_restored: bool  # the process put its own differentiable rows back
    at: Place


class Gathers(Evidence, frozen=True, kw_only=True):
    """Collectives on the way to a loss."""

    obtained_by: ClassVar[str] = "a collective of torch.distributed that feeds a loss"
    gathers: tuple[Gather, ...]
