"""One file, read in the format that its first bytes show."""

from dataclasses import dataclass, field
from pathlib import Path

from stepscope.checkpoint_files.content import Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.files import Opened, opened
from stepscope.checkpoint_files.formats.json_files import read_json
from stepscope.checkpoint_files.formats.safetensors import header_length, read_safetensors
from stepscope.checkpoint_files.formats.torch_legacy import read_torch_legacy
from stepscope.checkpoint_files.formats.torch_zip import read_torch_zip

EXPECTED = "a file of torch.save or safetensors, or a folder of them"
_LONGEST_MAGIC = 300  # a tar archive names itself at byte 257
_OTHERS = {  # what people hand over, by its first bytes: what it is, and what to do
    b"version https://git-lfs": (
        "this is a pointer of git-lfs, not the file itself",
        "run `git lfs pull`",
    ),
    b"<!DOCTYPE": ("this is a web page", "download the file itself"),
    b"<!doctype": ("this is a web page", "download the file itself"),
    b"<html": ("this is a web page", "download the file itself"),
    b"<?xml": ("this is XML: an error message of a server, perhaps", "download the file itself"),
    b"\x89HDF": ("this is a file of HDF5, as Keras writes", "load it with h5py"),
    b"GGUF": ("this is a file of GGUF", "inspect it with the tools of llama.cpp"),
    b"\x93NUMPY": ("this is an array of numpy", "load it with numpy.load"),
    b"\x1f\x8b": ("this is compressed with gzip", "unpack it first"),
    b"\x28\xb5\x2f\xfd": ("this is compressed with zstd", "unpack it first"),
    b"BZh": ("this is compressed with bzip2", "unpack it first"),
    b"\xfd7zXZ": ("this is compressed with xz", "unpack it first"),
    b"7z\xbc\xaf": ("this is an archive of 7-Zip", "unpack it first"),
    b"PK\x05\x06": ("this is an empty zip archive", "compare it with the original"),
    b"\x08\x03\x12": ("this may be a model of ONNX", "inspect it with onnx"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one file of a checkpoint holds."""

    format: str
    nbytes: int
    tree: Tree
    metadata: dict[str, str] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()


def read_file(path: Path) -> Part:
    """Return what a file holds.

    Raises:
        UnreadableCheckpoint: it is no checkpoint, is damaged, or asks for code to be run.
    """
    with opened(path) as file:
        if not file.nbytes:
            raise UnreadableCheckpoint(
                path,
                "the file is empty",
                expected=EXPECTED,
                advice="its download or its saving was interrupted before the first byte",
            )
        head = file.read(0, min(_LONGEST_MAGIC, file.nbytes))
        if head.startswith(b"PK\x03\x04"):
            tree, classes = read_torch_zip(file)
            return Part("torch", file.nbytes, tree, classes=frozenset(classes))
        if header_length(file) is not None:
            tensors, notes = read_safetensors(file)
            return Part("safetensors", file.nbytes, tensors, notes)
        if head[:1] == b"\x80":
            tree, classes = read_torch_legacy(file)
            return Part("torch, legacy", file.nbytes, tree, classes=frozenset(classes))
        if head.lstrip()[:1] in {b"{", b"["}:
            return Part("JSON", file.nbytes, read_json(file))
        raise _unknown(file, head)


def _unknown(file: Opened, head: bytes) -> UnreadableCheckpoint:
    found, advice = f"its first bytes are {head[:8]!r}", "check where it came from"
    for magic, words in _OTHERS.items():
        if head.startswith(magic):
            found, advice = words
    if head[257:262] == b"ustar":
        found = "this is a tar archive: a checkpoint of torch before 0.4, or a packed folder"
        advice = "unpack it, or load and save it with the torch that wrote it"
    if not any(head):
        found = f"its first {len(head)} bytes are zero: it was never fully written"
    return UnreadableCheckpoint(file.path, found, expected=EXPECTED, advice=advice)
