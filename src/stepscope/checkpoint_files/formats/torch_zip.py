"""Checkpoints as torch.save writes them since 1.6: a zip archive of a pickle and its storages."""

import io
import zipfile

from stepscope.checkpoint_files.content import ITEM_BYTES, Opaque, Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.archives import Entry, directory, entries
from stepscope.checkpoint_files.formats.files import Opened
from stepscope.checkpoint_files.formats.refusals import damaged, refused
from stepscope.checkpoint_files.formats.tensors import (
    STORAGE_DTYPES,
    Malformed,
    Storage,
    count,
)
from stepscope.checkpoint_files.formats.unpickler import (
    PICKLE_BYTES,
    HostileGlobals,
    unpickled,
)

EXPECTED = "an archive that torch.save wrote"


def read_torch_zip(
    file: Opened, start: int = 0, length: int | None = None
) -> tuple[Tree, set[str]]:
    """Return the tree of the archive in this part of the file, and the globals that it names.

    Raises:
        UnreadableCheckpoint: it is damaged, hostile, or no archive of torch.save.
    """
    length = file.nbytes - start if length is None else length
    said = directory(file, start, length)
    prefix = _prefix(file, said)
    stored = entries(file, start, length, said)
    order = stored.get(prefix + "byteorder")
    if order and file.read(order.start, min(order.nbytes, 16)) != b"little":
        raise UnreadableCheckpoint(
            file.path,
            "its values are not stored in little-endian order",
            expected="little-endian values, as almost every machine has them",
            advice="load and save it again with torch on the machine that wrote it",
        )
    pickle = stored[prefix + "data.pkl"]
    if pickle.nbytes > PICKLE_BYTES:
        raise damaged(file.path, f"its pickle has {pickle.nbytes} bytes", EXPECTED)
    data = io.BytesIO(file.read(pickle.start, pickle.nbytes))
    storages = _Storages(file, stored, prefix + "data/")
    try:
        return unpickled(data, pickle.nbytes, storages.find)
    except HostileGlobals as problem:
        raise refused(file.path, problem.names) from problem
    except Malformed as problem:
        raise damaged(file.path, str(problem), EXPECTED) from problem


def storage_of(pid: tuple[object, ...]) -> tuple[str, str, int]:
    """Return key, dtype and number of elements of the storage that a persistent id stands for."""
    kind, key = pid[1], pid[2]
    if pid[0] != "storage" or not isinstance(kind, Opaque) or not isinstance(key, str):
        raise Malformed("its pickle refers to something that is no storage")
    if kind.name not in STORAGE_DTYPES:
        raise Malformed(f"it holds a storage of the unknown type {kind.name[:80]}")
    return key, STORAGE_DTYPES[kind.name], count(pid[4], "the length of a storage")


class _Storages:
    """The entries of an archive that hold the values of tensors."""

    def __init__(self, file: Opened, stored: dict[str, Entry], folder: str) -> None:
        self._file = file
        self._stored = stored
        self._folder = folder

    def find(self, pid: tuple[object, ...]) -> Storage:
        """Return where the storage lies that a persistent id names."""
        key, dtype, numel = storage_of(pid)
        entry = self._stored.get(self._folder + key)
        if entry is None:
            raise Malformed(f"the values of storage {key[:80]!r} are not in the archive")
        nbytes = numel * ITEM_BYTES[dtype]
        if nbytes > entry.nbytes:
            raise Malformed(f"storage {key!r} should have {nbytes} bytes and has {entry.nbytes}")
        place = (str(self._file.path), entry.start)
        return Storage(self._file.path, entry.start, nbytes, dtype, place)


def _prefix(file: Opened, said: list[zipfile.ZipInfo]) -> str:
    """Return the folder of the archive that holds the pickle, or say what the archive is."""
    names = {about.filename for about in said}
    folders = sorted(name.removesuffix("data.pkl") for name in names if _is_pickle(name))
    tops = {name.partition("/")[0] for name in names}
    if any(f"{top}/constants.pkl" in names for top in tops) or any(
        name.startswith(f"{top}/code/") for top in tops for name in names if len(tops) == 1
    ):
        found, advice = (
            "this is a TorchScript archive: it holds code",
            "save the state_dict() of the module in its place",
        )
    elif any(name.rpartition("/")[2] == "archive_format" for name in names):
        found, advice = (
            "this is a program of torch.export",
            "save the state_dict() of the program in its place",
        )
    elif len(folders) == 1:
        return folders[0]
    elif names and all(name.endswith(".npy") for name in names):
        found, advice = "this is an archive of numpy", "load it with numpy.load"
    else:
        found, advice = "this zip archive is no checkpoint", "give the checkpoint that it holds"
    raise UnreadableCheckpoint(file.path, found, expected=EXPECTED, advice=advice)


def _is_pickle(name: str) -> bool:
    return name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)
