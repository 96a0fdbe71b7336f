"""Constants in a total loss: which value they are, and what feeds them."""

from torch import Tensor

from stepscope.probes.loss_terms.decomposition import DIVS, MULS, VALUE_VIEWS
from stepscope.probes.values import Escape, Value, escapes

PASSED_ON = VALUE_VIEWS | {"detach", "data", "detach_"}
_MOST_VALUES = 20_000
_FACTORS = tuple(k / 10**d for d in range(4) for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 25, 75))


def feeders(value: Value, trainable: set[int]) -> list[Tensor]:
    """Return the parameters, of those with these identities, that a value was computed from."""
    found: list[Tensor] = []
    seen = {value}
    waiting = [value]
    while waiting and len(seen) < _MOST_VALUES:
        each = waiting.pop()
        if each.is_parameter and each.tensor is not None:
            tensor = each.tensor()
            if tensor is not None and id(tensor) in trainable:
                found.append(tensor)
        for parent in each.parents:
            if parent.floating and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return found


def unscaled(value: Value) -> tuple[Value, float]:
    """Go up past products with written numbers and changes of shape; return what they multiply."""
    factor = 1.0
    while len(value.parents) == 1:
        numbers = value.constants
        if value.operation in MULS and len(numbers) == 1:
            factor *= numbers[0]
        elif value.operation in DIVS and len(numbers) == 1 and numbers[0]:
            factor /= numbers[0]
        elif value.operation not in PASSED_ON:
            break
        value = value.parents[0]
    return value, factor


def escaped_as(constant: float) -> Escape | None:
    """Return the latest number that left torch and is the constant, up to a short decimal."""
    for escape in reversed(escapes()):
        number = escape.number
        if number is None or abs(number) < 1e-12 or not _is_distinctive(number):  # noqa: PLR2004 - zero
            continue
        ratio = constant / number
        if any(abs(ratio - factor) <= 1e-6 * factor for factor in _FACTORS):  # float32 into float
            return escape
    return None


def _is_distinctive(number: float) -> bool:
    """Tell a measured value from a round one, which a program could write down itself."""
    return abs(number * 1000 - round(number * 1000)) > 1e-4  # noqa: PLR2004 - three decimals
