"""What the functions that a checkpoint names would return, described instead of called."""

import struct
from collections.abc import Callable

from stepscope.checkpoint_files.content import Opaque
from stepscope.checkpoint_files.formats.harmless import DICTIONARIES, DTYPES
from stepscope.checkpoint_files.formats.tensors import Malformed, counts, tensor_in
from stepscope.checkpoint_files.formats.tree import checked_key

_NUMBERS = {  # of numpy: the letter that struct has for it
    "f8": "d",
    "f4": "f",
    "f2": "e",
    "i8": "q",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "Q",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "b1": "?",
}


def rebuilt(name: str, args: tuple[object, ...]) -> object:
    """Describe `name(*args)`. Costs no more than a bounded number of small steps.

    Raises:
        Malformed: the arguments of a tensor cannot be true.
    """
    if name in DICTIONARIES:
        return _dictionary(args)
    known = _KNOWN.get(name)
    return known(args) if known else Opaque(name, args)  # type: ignore[arg-type]  # see check_tree


def _dictionary(args: tuple[object, ...]) -> object:
    """Return a new dictionary. Python 2 gave OrderedDict a list of pairs."""
    given = args[0] if args else None
    if isinstance(given, list):
        return {checked_key(pair[0]): pair[1] for pair in given}
    return dict(given) if isinstance(given, dict) else {}


def _tensor(args: tuple[object, ...]) -> object:
    storage, offset, shape, stride, *_ = args
    return tensor_in(storage, offset, shape, stride)


def _tensor_of_dtype(args: tuple[object, ...]) -> object:
    storage, offset, shape, stride, _, _, dtype, *_ = args
    if not (isinstance(dtype, Opaque) and dtype.name in DTYPES):
        name = dtype.name if isinstance(dtype, Opaque) else type(dtype).__name__
        raise Malformed(f"a tensor has the unknown dtype {name}")
    return tensor_in(storage, offset, shape, stride, DTYPES[dtype.name])


def _quantised(args: tuple[object, ...]) -> object:
    storage, offset, shape, stride, scale, *_ = args
    integers = tensor_in(storage, offset, shape, stride)
    return Opaque("torch._utils._rebuild_qtensor", (integers, scale))  # type: ignore[arg-type]


def _first(args: tuple[object, ...]) -> object:
    return args[0]


def _of_type(args: tuple[object, ...]) -> object:
    function, kind, given, _ = args
    if not (isinstance(function, Opaque) and isinstance(kind, Opaque) and isinstance(given, tuple)):
        raise Malformed("a tensor is rebuilt by something that is no function")
    if function.name not in _REBUILD:
        return Opaque(kind.name, (given,))
    inner = rebuilt(function.name, given)
    return inner if kind.name in _PLAIN else Opaque(kind.name, (inner,))  # type: ignore[arg-type]


def _size(args: tuple[object, ...]) -> object:
    return counts(args[0] if args else (), "a shape")


def _encoded(args: tuple[object, ...]) -> object:
    """Return the bytes that protocol 2 wrote as text."""
    if isinstance(args[0], str) and args[1:] == ("latin1",):
        return args[0].encode("latin1")
    return Opaque("_codecs.encode", args)  # type: ignore[arg-type]  # see check_tree


def _scalar(args: tuple[object, ...]) -> object:
    """Return a number of numpy as one of Python, where Python has it."""
    dtype, data = args
    if isinstance(dtype, Opaque) and isinstance(data, bytes) and dtype.args:
        code = _NUMBERS.get(dtype.args[0]) if isinstance(dtype.args[0], str) else None
        order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "|"
        if code and order in ("<", "|") and len(data) == struct.calcsize("<" + code):
            number: object = struct.unpack("<" + code, data)[0]
            return number
    return Opaque("numpy.number", args)  # type: ignore[arg-type]  # see check_tree


def _array(args: tuple[object, ...]) -> object:
    del args  # the real shape, dtype and bytes come as its state
    return Opaque("numpy.ndarray")


def _reconstructed(args: tuple[object, ...]) -> object:
    """Return an object of the class that protocol 0 names first."""
    kind = args[0]
    if not isinstance(kind, Opaque):
        raise Malformed("an object is of a class that is none")
    return rebuilt(kind.name, ())


def _complex(args: tuple[object, ...]) -> object:
    real, imaginary = args
    if not isinstance(real, int | float) or not isinstance(imaginary, int | float):
        raise Malformed("a complex number has parts that are no numbers")
    return complex(real, imaginary)


def _text(args: tuple[object, ...]) -> object:
    if len(args) != 1 or not isinstance(args[0], str):
        raise Malformed("a version is no text")
    return args[0]


_PLAIN = ("torch.Tensor", "torch.nn.parameter.Buffer", "torch.nn.parameter.Parameter")
_REBUILD = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
_KNOWN: dict[str, Callable[[tuple[object, ...]], object]] = {
    "_codecs.encode": _encoded,
    "builtins.complex": _complex,
    "copyreg._reconstructor": _reconstructed,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "torch.Size": _size,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_qtensor": _quantised,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch.torch_version.TorchVersion": _text,
}
