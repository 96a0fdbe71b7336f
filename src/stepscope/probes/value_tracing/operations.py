"""What kind of thing each torch function does to values, told by its name."""

import enum
from collections.abc import Callable
from typing import Any


class Kind(enum.Enum):
    """How a call is followed."""

    IGNORED = enum.auto()  # shapes, devices, modes: no value comes out
    FRESH = enum.auto()  # a new value from all tensors among the arguments
    FIRST = enum.auto()  # a new value from the first argument; the others only give a shape
    IN_PLACE = enum.auto()  # the first argument gets a new value
    EACH = enum.auto()  # `_foreach_`: element by element
    EACH_IN_PLACE = enum.auto()
    ESCAPE = enum.auto()  # the value leaves torch
    DATA = enum.auto()  # `.data` is read
    DATA_SET = enum.auto()  # `.data` is assigned
    GRAD_MODE = enum.auto()
    DERIVATIVE = enum.auto()  # torch.autograd.grad


_SHAPE_ONLY = frozenset({
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
    "randint_like", "new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided",
    "size", "dim", "numel", "stride", "ndimension", "is_floating_point", "is_complex",
    "storage_offset", "untyped_storage", "data_ptr", "element_size", "get_device",
    "is_contiguous", "requires_grad_", "retain_grad", "register_hook", "backward", "__len__",
    "__hash__", "__repr__", "__format__", "__bool__", "__reduce_ex__", "share_memory_",
    "record_stream", "register_post_accumulate_grad_hook", "__contains__", "dim_order", "type",
    "is_shared", "is_pinned",
})  # fmt: skip
_FIRST_ONLY = frozenset(["type_as", "expand_as", "view_as", "reshape_as", "to"])
_ESCAPES = frozenset(["item", "tolist", "numpy", "__float__", "__array__", "__int__", "__index__"])
_AUGMENTED = frozenset({
    "__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__",
    "__imod__", "__ipow__", "__iand__", "__ior__", "__ixor__", "__idiv__",
})  # fmt: skip
_TAKEN = frozenset(("T", "mT", "H", "mH", "real", "imag", "grad"))  # properties with a value

TARGET_POSITION = {
    "cross_entropy": 1, "nll_loss": 1, "mse_loss": 1, "l1_loss": 1, "smooth_l1_loss": 1,
    "huber_loss": 1, "kl_div": 1, "binary_cross_entropy": 1, "gaussian_nll_loss": 1,
    "binary_cross_entropy_with_logits": 1, "poisson_nll_loss": 1, "soft_margin_loss": 1,
    "multilabel_soft_margin_loss": 1, "cosine_embedding_loss": 2, "margin_ranking_loss": 2,
}  # fmt: skip
DETACHING = frozenset(("detach", "detach_", "data", "tensor", "as_tensor", "new_tensor", "asarray"))

MOST_KNOWN = 10_000  # torch has some 2000; bounds generated ones
_known: dict[Callable[..., Any], tuple[Kind, str]] = {}  # functions of torch do not change


def kind_of_call(function: Callable[..., Any]) -> tuple[Kind, str]:
    """Return how a function is followed, and its name."""
    found = _known.get(function)
    if found is None:
        found = _classify(function)
        is_patched = hasattr(function, "__wrapped__")  # and would keep its patcher alive
        if len(_known) < MOST_KNOWN and not is_patched:
            _known[function] = found
    return found


def _classify(function: Callable[..., Any]) -> tuple[Kind, str]:
    name = getattr(function, "__name__", type(function).__name__)
    if name in ("__get__", "__set__", "__delete__"):
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        return _classify_attribute(name, attribute), attribute
    if name in ("_set_grad_enabled", "set_grad_enabled"):
        return Kind.GRAD_MODE, name
    if name == "grad" and function.__module__ == "torch.autograd":
        return Kind.DERIVATIVE, name
    if name in _SHAPE_ONLY:
        return Kind.IGNORED, name
    return _classify_name(name), name


def _classify_attribute(access: str, attribute: str) -> Kind:
    if attribute == "data":
        return Kind.DATA if access == "__get__" else Kind.DATA_SET
    taken = access == "__get__" and attribute in _TAKEN and attribute != "grad"
    return Kind.FRESH if taken else Kind.IGNORED


def _classify_name(name: str) -> Kind:
    if name in _ESCAPES:
        return Kind.ESCAPE
    if name in _FIRST_ONLY:
        return Kind.FIRST
    in_place = name.endswith("_") and not name.endswith("__")
    if name.startswith("_foreach_"):
        return Kind.EACH_IN_PLACE if in_place else Kind.EACH
    return Kind.IN_PLACE if in_place or name in _AUGMENTED else Kind.FRESH
