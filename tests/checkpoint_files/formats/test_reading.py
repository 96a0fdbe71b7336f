"""What is handed over in the place of a checkpoint gets one clear error."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from stepscope.checkpoint_files.content import UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"\x00" * 500, "zero: it was never fully written"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"\x93NUMPY\x01\x00", "an array of numpy"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip"),
        (b"hello there", "its first bytes are b'hello th'"),
        (b'{"a": 1}', "JSON that holds no tensors"),
        (b'{"a": ', "this is no JSON"),
        (pickle.dumps([1, 2], 2), "a pickle, but not one of torch.save"),
        (b"PK\x03\x04" + b"\x00" * 100, "the zip archive is damaged"),
    ],
)
def test_another_kind_of_file_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(UnreadableCheckpoint, match=words) as refusal:
        read(tmp_path / "x.pth")
    assert refusal.value.expected
    assert refusal.value.advice


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableCheckpoint, match="no regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(UnreadableCheckpoint, match="no regular file"):
        read(Path("/dev/zero"))


def test_a_path_that_leads_nowhere_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("absent", "loop", "nul\x00l"):
        with pytest.raises(UnreadableCheckpoint, match="cannot be opened"):
            read(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK")
    (tmp_path / "x").chmod(0)
    with pytest.raises(UnreadableCheckpoint, match="Permission denied"):
        read(tmp_path / "x")


def test_a_folder_without_a_checkpoint_names_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match="it is empty"):
        read(tmp_path)
    torch.save({}, tmp_path / "epoch_1.pth")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnreadableCheckpoint, match=r"give one of those in it: epoch_1\.pth"):
        read(tmp_path)


def test_the_error_survives_a_trip_between_processes() -> None:
    error = UnreadableCheckpoint(Path("x"), "found", expected="e", advice="a", names=["os.system"])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (str(again), again.globals) == ("x: found; expected e; a", ("os.system",))
