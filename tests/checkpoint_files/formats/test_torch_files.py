"""Files of torch.save, today's archive and the stream of before 1.6."""

import io
import zipfile
from pathlib import Path

import pytest
import torch

from stepscope.checkpoint_files.content import Opaque, TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.torch_legacy import _FIRST_READ
from stepscope.checkpoint_files.reading import read
from tests.checkpoint_files.formats.comparing import same

FORMS = pytest.mark.parametrize("is_zip", [True, False], ids=["archive", "stream"])


def training() -> dict[str, object]:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    weight = torch.randn(4, 6)
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "parameter": torch.nn.Parameter(weight[1:, ::2]),
        "tied": (weight, weight.t()),
        "empty": torch.empty(0, 3),
        "plain": [1, -(2**70), 0.5, None, True, "ä", b"\xff", 1 + 2j, (1, (2,)), {3: "three"}],
        "version": torch.__version__,
        "shape": torch.Size([2, 3]),
        "rng": torch.get_rng_state(),
    }


@FORMS
def test_everything_is_as_torch_loads_it(*, is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.weird_suffix"
    state = training()
    if is_zip:  # torch writes these into streams too, and cannot read them again
        state["wide"] = torch.ones(2, dtype=torch.uint16)
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    content = read(path)
    assert content.format == ("torch" if is_zip else "torch, legacy")
    assert (content.files, content.nbytes) == ((path,), path.stat().st_size)
    assert "torch._utils._rebuild_tensor_v2" in content.classes
    same(content.tree, torch.load(path, weights_only=False))


@FORMS
def test_tensors_that_share_memory_have_one_storage(*, is_zip: bool, tmp_path: Path) -> None:
    torch.save(training(), tmp_path / "x", _use_new_zipfile_serialization=is_zip)
    tree = read(tmp_path / "x").tree
    assert isinstance(tree, dict)
    tied, view, other = tree["tied"], tree["parameter"], tree["empty"]
    assert isinstance(tied, tuple)
    first, second = tied
    assert isinstance(first, TensorAt)
    assert isinstance(second, TensorAt)
    assert isinstance(view, TensorAt)
    assert isinstance(other, TensorAt)
    assert first.storage == second.storage == view.storage != other.storage
    assert (second.shape, second.stride) == ((6, 4), (1, 6))
    assert view.start == first.start + 4 * 6


@FORMS
def test_a_whole_model_is_refused_with_the_classes_it_asks_for(
    *, is_zip: bool, tmp_path: Path
) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    torch.save({"model": model}, tmp_path / "x", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(UnreadableCheckpoint, match="would run code") as refusal:
        read(tmp_path / "x")
    assert {
        "torch.nn.modules.container.Sequential",
        "torch.nn.modules.linear.Linear",
    } <= set(refusal.value.globals)


def test_objects_that_are_no_tensors_in_memory_are_described(tmp_path: Path) -> None:
    kinds = {
        "sparse": torch.eye(3).to_sparse(),
        "on_meta": torch.empty(3, device="meta"),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "set": {1},
    }
    torch.save(kinds, tmp_path / "x")
    tree = read(tmp_path / "x").tree
    assert isinstance(tree, dict)
    assert {key: value.name for key, value in tree.items() if isinstance(value, Opaque)} == {
        "sparse": "torch._utils._rebuild_sparse_tensor",
        "on_meta": "torch._utils._rebuild_meta_tensor_no_storage",
        "dtype": "torch.bfloat16",
        "device": "torch.device",
        "set": "builtins.set",
    }


def test_a_stream_with_a_long_pickle_is_read_to_its_end(tmp_path: Path) -> None:
    long = {f"{i}" * 100: torch.ones(1) for i in range(_FIRST_READ // 500)}
    torch.save(long, tmp_path / "x", _use_new_zipfile_serialization=False)
    tree = read(tmp_path / "x").tree
    assert isinstance(tree, dict)
    assert len(tree) == len(long)


def test_every_truncation_of_a_file_is_refused(tmp_path: Path) -> None:
    state = {"w": torch.ones(3), "epoch": 1}
    for is_zip in (True, False):
        torch.save(state, tmp_path / "x", _use_new_zipfile_serialization=is_zip)
        whole = (tmp_path / "x").read_bytes()
        for length in range(0, len(whole), 7):
            (tmp_path / "cut").write_bytes(whole[:length])
            with pytest.raises(UnreadableCheckpoint):
                read(tmp_path / "cut")


def test_a_module_of_torchscript_is_refused_for_its_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"):
            archive.writestr(name, b"N.")
    with pytest.raises(UnreadableCheckpoint, match="TorchScript"):
        read(tmp_path / "x.pt")


def rewritten(source: bytes, change: dict[str, bytes], method: int = 0) -> bytes:
    """Return the archive with other entries, its sums and offsets in order."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(file, "w", method) as new:
        for name in old.namelist():
            tail = name.partition("/")[2]
            new.writestr(name, change.get(tail, old.read(name)))
        for name in change.keys() - {name.partition("/")[2] for name in old.namelist()}:
            new.writestr(name, change[name])
    return file.getvalue()


@pytest.mark.parametrize(
    ("change", "method", "words"),
    [
        ({"data/0": b"\x00" * 11}, zipfile.ZIP_STORED, "should have 12 bytes and has 11"),
        ({"byteorder": b"big"}, zipfile.ZIP_STORED, "not stored in little-endian order"),
        ({}, zipfile.ZIP_DEFLATED, "is compressed"),
        ({"../x": b""}, zipfile.ZIP_STORED, "a path that leads out"),
        ({"/etc/x": b""}, zipfile.ZIP_STORED, "a path that leads out"),
    ],
)
def test_an_archive_that_torch_would_not_write_is_refused(
    change: dict[str, bytes], method: int, words: str, tmp_path: Path
) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "x")
    source = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(rewritten(source, {}))
    read(tmp_path / "x")
    (tmp_path / "x").write_bytes(rewritten(source, change, method))
    with pytest.raises(UnreadableCheckpoint, match=words):
        read(tmp_path / "x")


def test_entries_that_overlap_or_come_twice_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(30)}, tmp_path / "x")
    source = rewritten((tmp_path / "x").read_bytes(), {"archive/data/1": b"\x00" * 120})
    directory = source.rindex(b"PK\x01\x02")
    first = source.index(b"PK\x01\x02")
    names = [source.index(name, first) for name in (b"x/data/0", b"archive/data/1")]
    assert all(first < at for at in names)
    same_place = bytearray(source)
    same_place[directory + 42 : directory + 46] = source[names[0] - 4 : names[0]]
    (tmp_path / "x").write_bytes(same_place)
    with pytest.raises(UnreadableCheckpoint, match="overlaps the one before it"):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("shape", "stride", "offset", "words"),
    [
        ((3,), (2,), 0, "its storage has 12"),
        ((3,), (1,), 1, "its storage has 12"),
        ((-1,), (1,), 0, "a number in a shape is -1"),
        ((3,), (-1,), 0, "a number in a stride is -1"),
        ((2**40, 2**40), (0, 0), 0, r"has the shape \(1099511627776, 1099511627776\)"),
        ((3,), (1, 1), 0, r"the shape \(3,\) and the stride \(1, 1\)"),
        ((True,), (1,), 0, "a number in a shape is"),
    ],
)
def test_a_tensor_that_reaches_out_of_its_storage_is_refused(
    shape: tuple[int, ...], stride: tuple[int, ...], offset: int, words: str, tmp_path: Path
) -> None:
    torch.save({"w": _Lying(shape, stride, offset)}, tmp_path / "x")
    with pytest.raises(UnreadableCheckpoint, match=words):
        read(tmp_path / "x")


class _Lying:
    """Pickles as a tensor of three floats with the shape of another."""

    def __init__(self, *claims: object) -> None:
        self._shape, self._stride, self._offset = claims

    def __reduce__(self) -> tuple[object, ...]:
        storage = torch.ones(3)._typed_storage()
        arguments = (storage, self._offset, self._shape, self._stride, False, {})
        return torch._utils._rebuild_tensor_v2, arguments
