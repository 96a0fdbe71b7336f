"""What freezing one part of a model saves, as it was measured."""

import enum
from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

BACKWARD = 2.0  # forwards that a backward costs: the gradients of the inputs, and of the weights
LOADED = 0.15  # share of the processors from which on other work disturbs the measurement


class Variant(enum.Enum):
    """One way to treat the part, with the words that name it in a report."""

    GIVEN = "as it is"  # what the program itself does
    FULL = "full tuning"
    ZERO = "lr 0"
    FROZEN = "frozen"
    WITHOUT_GRAPH = "without graph"  # frozen, and run under no_grad
    CACHED = "cached"  # frozen, and its output replayed


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What freezing should save of a step, from the part's share of the forward alone.

    Optimizer and data are left out.
    """

    share: float  # of the forward that the frozen part takes, from 0 to 1
    is_prefix: bool  # nothing that trains feeds it

    @property
    def backward(self) -> float:
        """Ratio of the backward times, from 0 to 1.

        A part that something trainable feeds must still hand gradients through: only those of its
        weights are saved, half of its backward.
        """
        return 1 - self.share if self.is_prefix else 1 - self.share / 2

    @property
    def speed_up(self) -> float:
        """Ratio of the step times, from 1 to 3: 3 / (3 - 2 share) for a prefix."""
        return (1 + BACKWARD) / (1 + BACKWARD * self.backward)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One measured step, in seconds. `forward` is all that is neither backward nor optimizer."""

    forward: float
    backward: float
    optimizer: float

    @property
    def total(self) -> float:
        """The whole step."""
        return self.forward + self.backward + self.optimizer


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one process measured of one variant."""

    variant: Variant
    round: int
    steps: tuple[Step, ...] = ()
    device: str = ""  # of the model
    base_bytes: int = 0  # held when the model's first parameter was made; 0 on a GPU
    peak_bytes: int = 0
    is_peak_exact: bool = True  # false: looked up after each step, and too low
    state_bytes: int = 0  # of the optimizer
    gradient_bytes: int = 0
    share: float = 0.0  # of the forward that the part takes
    is_prefix: bool = True  # nothing that trains feeds it
    error: str = ""

    def seconds(self, phase: str) -> float:
        """Return the median over the steps: of `total`, `forward`, `backward` or `optimizer`."""
        seconds: list[float] = [getattr(step, phase) for step in self.steps]
        return median(seconds)

    @property
    def net_bytes(self) -> int:
        """The peak without what was held before the model."""
        return max(0, self.peak_bytes - self.base_bytes)


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio of two variants, taken round by round."""

    median: float
    least: float
    most: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All samples of one measurement."""

    target: str
    patterns: tuple[str, ...]
    device: str
    processors: int
    others: float  # processors that other programs kept busy meanwhile, on average
    predicted: Prediction | None  # before anything was measured
    samples: tuple[Sample, ...]

    def of(self, variant: Variant) -> tuple[Sample, ...]:
        """Return the samples of one variant that succeeded, by round."""
        return tuple(each for each in self.samples if each.variant is variant and each.steps)

    def error(self, variant: Variant) -> str:
        """Say why a variant gave nothing; "" where it gave something."""
        said = [each.error for each in self.samples if each.variant is variant and each.error]
        return said[0] if said and not self.of(variant) else ""

    def typical(self, variant: Variant, reading: Callable[[Sample], float]) -> float:
        """Return the median of what `reading` takes from the samples of a variant."""
        return median(reading(each) for each in self.of(variant))

    def time(self, variant: Variant, against: Variant, phase: str = "total") -> Ratio | None:
        """Return the ratio of the times of two variants."""
        return _ratio(
            (one.seconds(phase), other.seconds(phase))
            for one, other in self._pairs(variant, against)
        )

    def memory(self, variant: Variant, against: Variant, *, net: bool = True) -> Ratio | None:
        """Return the ratio of the peaks of two variants, with or without what was held before."""
        name = "net_bytes" if net else "peak_bytes"
        return _ratio(
            (getattr(one, name), getattr(other, name))
            for one, other in self._pairs(variant, against)
        )

    @property
    def is_loaded(self) -> bool:
        """Whether other work took much of the machine: the ratios may be those of that work."""
        return self.others > LOADED * self.processors

    def _pairs(self, variant: Variant, against: Variant) -> Iterable[tuple[Sample, Sample]]:
        others = {each.round: each for each in self.of(against)}
        return ((e, others[e.round]) for e in self.of(variant) if e.round in others)


def predicted(samples: Iterable[Sample]) -> Prediction | None:
    """Predict from one sample of full tuning and one of the freeze; None where either failed."""
    found = {each.variant: each for each in samples if each.steps}
    if not {Variant.FULL, Variant.FROZEN} <= found.keys():
        return None
    return Prediction(share=found[Variant.FULL].share, is_prefix=found[Variant.FROZEN].is_prefix)


def _ratio(pairs: Iterable[tuple[float, float]]) -> Ratio | None:
    ratios: Sequence[float] = [one / other for one, other in pairs if other > 0]
    if not ratios:
        return None
    return Ratio(median=median(ratios), least=min(ratios), most=max(ratios))
