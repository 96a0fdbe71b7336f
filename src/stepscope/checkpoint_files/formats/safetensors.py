"""One file of safetensors: a header in JSON, and the values behind it.

The library of the format checks a header as well, but maps the whole file into memory (a file that
is cut short meanwhile kills the process) and keeps to itself where in the file the tensors lie,
which reading in bounded pieces needs.
"""

import msgspec

from stepscope.checkpoint_files.content import ITEM_BYTES, Key, TensorAt, Tree
from stepscope.checkpoint_files.formats.files import Opened
from stepscope.checkpoint_files.formats.refusals import damaged
from stepscope.checkpoint_files.formats.tensors import Malformed, Storage, counts, tensor_in

HEADER_BYTES = 100_000_000  # the limit of the format
EXPECTED = "a file of safetensors"
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_safetensors(file: Opened) -> tuple[dict[Key, Tree], dict[str, str]]:
    """Return the tensors by name, and the file's own notes.

    Raises:
        UnreadableCheckpoint: the header is damaged, or does not fit the file.
    """
    try:
        return _read(file)
    except Malformed as problem:
        raise damaged(file.path, str(problem), EXPECTED) from problem
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as problem:
        raise damaged(file.path, f"its header is damaged: {problem}", EXPECTED) from problem


def header_length(file: Opened) -> int | None:
    """Return the length of the header, or None where the file is none of safetensors."""
    if file.nbytes < 9:  # noqa: PLR2004  # the length, and the brace that opens the header
        return None
    head = file.read(0, 9)
    return int.from_bytes(head[:8], "little") if head[8:] == b"{" else None


def _read(file: Opened) -> tuple[dict[Key, Tree], dict[str, str]]:
    length = header_length(file)
    if length is None or length > min(HEADER_BYTES, file.nbytes - 8):
        raise Malformed(f"its header claims {length} bytes; the file has {file.nbytes}")
    start = 8 + length
    header = msgspec.json.decode(file.read(8, length), type=dict[str, msgspec.Raw])
    notes = msgspec.json.decode(header.pop("__metadata__", b"{}"), type=dict[str, str])
    decoder = msgspec.json.Decoder(_Entry)
    tensors: dict[Key, Tree] = {}
    spans: list[tuple[int, int, str]] = []
    for name, raw in header.items():
        entry = decoder.decode(raw)
        spans.append((*entry.data_offsets, name))
        tensors[name] = _tensor(file, start, name, entry)
    _check_cover(spans, file.nbytes - start)
    return tensors, notes


def _tensor(file: Opened, start: int, name: str, entry: _Entry) -> TensorAt:
    if entry.dtype not in DTYPES:
        raise Malformed(f"tensor {name[:200]!r} has the unknown dtype {entry.dtype[:40]!r}")
    begin, end = entry.data_offsets
    if not 0 <= begin <= end <= file.nbytes - start:
        raise Malformed(f"tensor {name[:200]!r} lies outside the file: bytes {begin} to {end}")
    dtype = DTYPES[entry.dtype]
    shape = counts(tuple(entry.shape), "a shape")
    stride: list[int] = []
    step = 1
    for size in reversed(shape):
        stride.insert(0, step)
        step *= size
        if step * ITEM_BYTES[dtype] > end - begin and 0 not in shape:
            break
    if (0 if 0 in shape else step * ITEM_BYTES[dtype]) != end - begin:
        raise Malformed(
            f"tensor {name[:200]!r} has {end - begin} bytes, which do not fit its shape and dtype"
        )
    if 0 in shape:
        stride = [1] * len(shape)
    place = (str(file.path), start + begin)
    whole = Storage(file.path, start + begin, end - begin, dtype, place)
    return tensor_in(whole, 0, shape, tuple(stride))


def _check_cover(spans: list[tuple[int, int, str]], nbytes: int) -> None:
    """Accept tensors that lie without gaps and overlaps, and end where the file does."""
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            what = "overlaps the one before it" if begin < at else "leaves a gap before it"
            raise Malformed(f"tensor {name[:200]!r} {what}")
        at = end
    if at != nbytes:
        raise Malformed(f"its tensors have {at} bytes, the file has {nbytes} for them")
