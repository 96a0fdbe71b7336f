"""Files of safetensors, whole and in shards."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stepscope.checkpoint_files.content import UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read
from tests.checkpoint_files.formats.comparing import same


def tensors() -> dict[str, torch.Tensor]:
    kinds = ("float64", "bfloat16", "int8", "bool", "uint16", "float8_e4m3fn", "complex64")
    made = {kind: torch.ones(2, 3).to(getattr(torch, kind)) for kind in kinds}
    return {**made, "scalar": torch.tensor(2.5), "empty": torch.empty(0, 4)}


def test_every_tensor_is_as_the_library_loads_it(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "x.pth", metadata={"format": "pt"})
    content = read(tmp_path / "x.pth")
    assert (content.format, content.metadata) == ("safetensors", {"format": "pt"})
    expected = load_file(tmp_path / "x.pth")
    assert isinstance(content.tree, dict)
    same({key: content.tree[key] for key in expected}, expected)


def written(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype: str, shape: list[object], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "nbytes", "words"),
    [
        ({"a": entry("F32", [2], 0, 8)}, 7, "lies outside the file"),
        ({"a": entry("F32", [2], 0, 8)}, 9, "have 8 bytes, the file has 9"),
        ({"a": entry("F32", [3], 0, 8)}, 8, "do not fit its shape"),
        ({"a": entry("F32", [2**62, 2**62], 0, 8)}, 8, "do not fit its shape"),
        ({"a": entry("F32", [-2], 0, 8)}, 8, "a number in a shape is -2"),
        ({"a": entry("F32", [2], 8, 0)}, 8, "lies outside the file"),
        ({"a": entry("F4", [2], 0, 8)}, 8, "unknown dtype 'F4'"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, 4, "overlaps"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, 12, "leaves a gap"),
        ({"a": entry("F32", ["2"], 0, 8)}, 8, "header is damaged"),
        ({"a": None}, 0, "header is damaged"),
        ({"__metadata__": {"a": 1}}, 0, "header is damaged"),
        (b"{" + b"[" * 1000, 0, "header is damaged"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(
    header: object, nbytes: int, words: str, tmp_path: Path
) -> None:
    read(written(tmp_path / "good", {"a": entry("F32", [2], 0, 8)}, bytes(8)))
    with pytest.raises(UnreadableCheckpoint, match=words):
        read(written(tmp_path / "x", header, bytes(nbytes)))


def test_a_length_beyond_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(UnreadableCheckpoint, match="its header claims 9223372036854775808 bytes"):
        read(tmp_path / "x")


def sharded(folder: Path) -> Path:
    folder.mkdir()
    save_file({"a": torch.ones(2)}, folder / "1.safetensors")
    save_file({"b": torch.zeros(3)}, folder / "2.safetensors")
    index = {"metadata": {}, "weight_map": {"b": "2.safetensors", "a": "1.safetensors"}}
    (folder / "x.index.json").write_text(json.dumps(index))
    return folder / "x.index.json"


def test_shards_are_one_checkpoint_in_the_order_of_the_index(tmp_path: Path) -> None:
    content = read(sharded(tmp_path / "s"))
    assert content.format == "safetensors, sharded"
    assert [path.name for path in content.files] == [
        "x.index.json",
        "1.safetensors",
        "2.safetensors",
    ]
    same(content.tree, {"b": torch.zeros(3), "a": torch.ones(2)})


def test_a_missing_or_incomplete_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path / "s")
    save_file({"c": torch.ones(1)}, index.parent / "1.safetensors")
    with pytest.raises(UnreadableCheckpoint, match=r"'a' is in '1.safetensors'; it is not"):
        read(index)
    (index.parent / "1.safetensors").unlink()
    with pytest.raises(UnreadableCheckpoint, match=r"1\.safetensors: the file cannot be opened"):
        read(index)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link"])
def test_a_shard_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    index = sharded(tmp_path / "s")
    save_file({"a": torch.ones(2)}, tmp_path / "secret")
    (index.parent / "link").symlink_to(tmp_path / "secret")
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UnreadableCheckpoint, match="points out of the folder"):
        read(index)


def test_links_of_the_hugging_face_cache_lead_to_its_blobs(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    save_file({"a": torch.ones(2)}, blobs / "0f")
    (snapshot / "model.safetensors").symlink_to("../../blobs/0f")
    assert read(snapshot).format == "folder, safetensors"
