"""Folders of torch.distributed.checkpoint."""

import shutil
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from stepscope.checkpoint_files.content import Opaque, TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.distributed import SHARDS, _add, _check_complete, _Piece
from stepscope.checkpoint_files.reading import read
from tests.checkpoint_files.formats.comparing import same


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = {
        "model": {"a.weight": torch.randn(3, 2), "a.bias": torch.ones(3, dtype=torch.bfloat16)},
        "optimizer": {"state": {"a.weight": {"step": torch.tensor(4.0)}}, "betas": [0.9, 0.99]},
        "step": 7,
    }
    torch.save(state, tmp_path / "oracle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one process saves alone
        dcp.save(state, checkpoint_id=tmp_path / "dcp", no_dist=True)
    return tmp_path / "dcp"


def test_the_names_become_the_dictionaries_that_were_saved(folder: Path) -> None:
    content = read(folder)
    assert content.format == "DCP"
    assert content.nbytes == sum(path.stat().st_size for path in folder.iterdir())
    expected = torch.load(folder.parent / "oracle", weights_only=True)
    assert isinstance(content.tree, dict)
    same({key: content.tree[key] for key in expected}["model"], expected["model"])
    assert content.tree["step"] == 7
    optimizer = content.tree["optimizer"]
    assert isinstance(optimizer, dict)
    same(optimizer["state"], expected["optimizer"]["state"])
    assert optimizer["betas"] == [0.9, 0.99]


def test_a_file_of_values_that_is_missing_cut_or_elsewhere_is_said_so(
    folder: Path, tmp_path: Path
) -> None:
    values = folder / "__0_0.distcp"
    whole = values.read_bytes()
    values.write_bytes(whole[:-10])
    with pytest.raises(UnreadableCheckpoint, match="it ends before the values of"):
        read(folder)
    values.unlink()
    with pytest.raises(UnreadableCheckpoint, match="cannot be opened"):
        read(folder)
    (tmp_path / "elsewhere").write_bytes(whole)
    values.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnreadableCheckpoint, match="points out of the folder"):
        read(folder)


def test_an_index_that_asks_for_code_is_refused(folder: Path) -> None:
    (folder / ".metadata").write_bytes(b"\x80\x04cos\nsystem\n(Vfalse\ntR.")
    with pytest.raises(UnreadableCheckpoint, match=r"asks for os\.system"):
        read(folder)


def test_a_folder_within_another_place_is_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "moved")
    assert isinstance(read(tmp_path / "moved").tree, dict)


def piece(offset: int) -> tuple[_Piece, TensorAt]:
    place = TensorAt(
        file=Path("f"), start=0, dtype="int8", shape=(2,), stride=(1,), nbytes=2, storage=offset
    )
    return _Piece("w", (offset,), "f", 0, 0), place


def test_pieces_of_one_tensor_are_kept_by_their_place_and_must_be_all() -> None:
    values: dict[str, object] = {}
    for offset in (0, 2):
        _add(values, *piece(offset), (4,))  # type: ignore[arg-type]
    shards = values["w"]
    assert isinstance(shards, Opaque)
    assert (shards.name, shards.args, list(shards.entries)) == (SHARDS, ((4,),), [(0,), (2,)])
    _check_complete(Path("d"), values, {"w": (4,)})  # type: ignore[arg-type]
    with pytest.raises(UnreadableCheckpoint, match="the pieces of 'w' are not the whole"):
        _check_complete(Path("d"), values, {"w": (6,)})  # type: ignore[arg-type]
