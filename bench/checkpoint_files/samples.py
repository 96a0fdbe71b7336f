"""One small healthy checkpoint of each format, and pickles that would run code."""

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file


def state() -> dict[str, object]:
    """Return what a small training would save: weights, states of Adam, counters, settings."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": 0.25,
        "name": "a run",
        "half": torch.ones(3, dtype=torch.bfloat16),
        "tied": [model[0].weight.data, model[0].weight.data[1:]],
        "betas": (0.9, None, True, b"bytes", 2**70, {1, 2}),
    }


def write(folder: Path) -> dict[str, Path]:
    """Write one checkpoint of each format; return each by the name of the format."""
    content = state()
    weights = content["state_dict"]
    assert isinstance(weights, dict)
    places = {
        "torch": folder / "zip.pth",
        "torch, legacy": folder / "stream.pth",
        "safetensors": folder / "one.safetensors",
        "safetensors, sharded": folder / "sharded" / "model.safetensors.index.json",
        "folder": folder / "folder",
        "DCP": folder / "dcp",
    }
    torch.save(content, places["torch"])
    torch.save(content, places["torch, legacy"], _use_new_zipfile_serialization=False)
    save_file(weights, places["safetensors"], metadata={"format": "pt"})
    places["safetensors, sharded"].parent.mkdir()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / "sharded" / file)
    places["safetensors, sharded"].write_text(
        json.dumps({"weight_map": {n: file for file, held in shards.items() for n in held}})
    )
    places["folder"].mkdir()
    save_file(weights, places["folder"] / "model.safetensors")
    torch.save(content["optimizer"], places["folder"] / "optimizer.pt")
    (places["folder"] / "trainer_state.json").write_text('{"global_step": 7, "log_history": []}')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one process saves alone
        dcp.save({"model": weights, "step": 3}, checkpoint_id=places["DCP"], no_dist=True)
    return places


class _Calls:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self._call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def hostile(canary: Path) -> dict[str, bytes]:
    """Return checkpoints that make `canary` when something loads them, or take all memory."""
    touch = f"touch {canary}"
    command = _Calls(os.system, touch)
    opened = f"cbuiltins\nopen\n(V{canary}\nVw\ntR.".encode()
    pickles = {
        "os.system": pickle.dumps({"state_dict": command}, 2),
        "os.system in protocol 5": pickle.dumps([command], 5),
        "exec": pickle.dumps(_Calls(exec, f"open({str(canary)!r}, 'w')"), 2),
        "open by name": opened,
        "open as an instance": f"(V{canary}\nVw\nibuiltins\nopen\n.".encode(),
        "open as an object": f"(cbuiltins\nopen\nV{canary}\nVw\no.".encode(),
        "getattr of a harmless class": b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\n"
        b"V__init__\ntR(V__globals__\ntR.",
        "an extension": b"\x82\x01.",
        "a persistent id of text": b"Pos.system\n.",
        "a persistent id of a list": b"](K\x01e\x51.",
        "state for a class": b"ccollections\nOrderedDict\n}(V__reduce__\nVx\nub.",
        "a list in itself": b"]q\x00h\x00a.",
        "2^60 visits": b"]q\x00" + b"".join(_twice(i) for i in range(60)) + b".",
        "a key of 2^60 visits": b"}K\x01" + b"2\x86" * 60 + b"K\x02s.",
        "nested lists": b"]" * 200_000 + b"a" * 199_999 + b".",
        "nested tuples as a key": b"}K\x01" + b"\x85" * 200_000 + b"K\x02s.",
        "a far memo": b"Nr\xff\xff\xff\xff.",
        "a long bytearray": b"\x96" + (2**62).to_bytes(8, "little") + b".",
        "a long text": b"\x8d" + (2**62).to_bytes(8, "little") + b".",
        "a long frame": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"N.",
        "copies of one text": b"Xd\x00\x10\x00" + b"a" * (16 * 65536 + 100) + b"q\x000"
        + b"c_codecs\nencode\n(h\x00Vlatin1\nt\x52q\x01" * 20000 + b".",
        "copies of one list": b"](" + b"N" * 10**5 + b"eq\x000"
        + b"ccollections\nOrderedDict\nh\x00\x85\x52" * 10**4 + b".",
    }  # fmt: skip
    files = {f"{name}, alone": data for name, data in pickles.items()}
    files |= {f"{name}, in an archive": _archive(data) for name, data in pickles.items()}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 10**8)
    files["a compressed bomb"] = bomb.getvalue()
    files["lists in a header"] = (10**7).to_bytes(8, "little") + b'{"a":' + b"[" * (10**7 - 5)
    return files


def _twice(i: int) -> bytes:
    """Return opcodes for a list that holds memo `i` two times, and becomes memo `i + 1`."""
    return b"0](" + bytes([ord("h"), i]) * 2 + b"e" + bytes([ord("q"), i + 1])


def _archive(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3")
    return file.getvalue()
