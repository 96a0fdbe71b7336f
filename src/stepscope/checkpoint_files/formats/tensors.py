"""Storages and tensors as a pickle of torch describes them, checked against their file."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from stepscope.checkpoint_files.content import ITEM_BYTES, TensorAt

STORAGE_DTYPES = {
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.QInt8Storage": "int8",  # the integers, of which the scale makes numbers
    "torch.QUInt8Storage": "uint8",
    "torch.QInt32Storage": "int32",
    "torch.storage.UntypedStorage": "uint8",
    "torch.UntypedStorage": "uint8",
}
DIMENSIONS = 64  # torch itself allows no more
LARGEST = 2**63 - 1  # elements or bytes


class Malformed(Exception):  # noqa: N818  # becomes an UnreadableCheckpoint where the path is known
    """What a file says about itself cannot be true, or is more than may be followed."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of bytes that tensors are views of."""

    file: Path
    start: int
    nbytes: int
    dtype: str
    key: Hashable


def count(value: object, what: str) -> int:
    """Return a number that is one, and neither negative nor beyond 64 bits."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise Malformed(f"{what} is {_short(value)}")
    return value


def counts(value: object, what: str) -> tuple[int, ...]:
    """Return a shape or a stride."""
    if not isinstance(value, tuple | list) or len(value) > DIMENSIONS:
        raise Malformed(f"{what} is {_short(value)}")
    return tuple([count(number, f"a number in {what}") for number in value])


def tensor_in(
    storage: object, offset: object, shape: object, stride: object, dtype: str = ""
) -> TensorAt:
    """Return the tensor that begins `offset` elements into the storage.

    Raises:
        Malformed: it would reach out of its storage.
    """
    if type(storage) is not Storage:
        raise Malformed(f"a tensor has {_short(storage)} for its storage")
    dtype = dtype or storage.dtype
    if dtype not in ITEM_BYTES:
        raise Malformed(f"a tensor has the unknown dtype {_short(dtype)}")
    item = ITEM_BYTES[dtype]
    offset = count(offset, "the offset of a tensor")
    shape = counts(shape, "a shape")
    stride = counts(stride, "a stride")
    if len(shape) != len(stride):
        raise Malformed(f"a tensor has the shape {shape} and the stride {stride}")
    elements = 1
    for length in shape:
        elements *= length
    if elements > LARGEST:
        raise Malformed(f"a tensor has the shape {_short(shape)}")
    reach = 0
    if elements:
        reach = 1 + sum([(length - 1) * step for length, step in zip(shape, stride, strict=True)])
    if (offset + reach) * item > storage.nbytes:
        raise Malformed(
            f"a tensor of shape {_short(shape)}, stride {_short(stride)} and offset {offset} needs"
            f" {(offset + reach) * item} bytes, its storage has {storage.nbytes}"
        )
    return TensorAt(
        file=storage.file,
        start=storage.start + offset * item,
        dtype=dtype,
        shape=shape,
        stride=stride,
        nbytes=reach * item,
        storage=storage.key,
    )


def _short(value: object) -> str:
    """Name a value from a file without following what it refers to."""
    if type(value) is tuple and len(value) <= DIMENSIONS:
        return "(" + ", ".join([_short(part) if type(part) is int else "?" for part in value]) + ")"
    if type(value) is int:
        return str(value) if abs(value) <= LARGEST else "a number of more than 64 bits"
    if type(value) is str:
        return repr(value[:80])
    return f"something of type {type(value).__name__}"
