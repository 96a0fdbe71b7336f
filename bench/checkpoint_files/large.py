"""Writes a checkpoint of some gigabytes, measures all its values, and reads it plainly, in turn.

    python -m bench.checkpoint_files.large FOLDER --gigabytes 5

Prints both speeds of each round, their ratio, and the peak resident memory of a process that only
measures. Each reading is a fresh process; the file is dropped from the page cache before it where
`--cold` is given (that drops this file alone, and needs no privileges). The file is deleted.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

PIECE = 16 << 20
TENSOR = 64 << 20  # bytes


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--gigabytes", type=float, default=5.0)
    options.add_argument("--dtype", default="float32")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--cold", action="store_true")
    options.add_argument("--child", choices=("measure", "plain"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    path = chosen.folder / "large.safetensors"
    if chosen.child:
        print(json.dumps(_timed(path, chosen.child, cold=chosen.cold)))
        return 0
    try:
        _write(path, int(chosen.gigabytes * 1e9), chosen.dtype)
        ratios = [_round(path, cold=chosen.cold) for _ in range(chosen.rounds)]
    finally:
        path.unlink(missing_ok=True)
    print(
        f"measured at {statistics.median(ratios):.2f} of the speed of plain reading "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return 0


def _round(path: Path, *, cold: bool) -> float:
    seen: dict[str, dict[str, float]] = {}
    for kind in ("plain", "measure"):
        module = [sys.executable, "-m", "bench.checkpoint_files.large", str(path.parent)]
        command = [*module, "--child", kind, *(["--cold"] if cold else [])]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        seen[kind] = json.loads(ended.stdout)
    plain, measured = seen["plain"], seen["measure"]
    print(
        f"plain {plain['speed']:.2f} GB/s   measure {measured['speed']:.2f} GB/s   "
        f"peak {measured['peak']:.0f} MB, of which imports {measured['imports']:.0f} MB   "
        f"load {os.getloadavg()[0]:.1f}"
    )
    return measured["speed"] / plain["speed"]


def _timed(path: Path, kind: str, *, cold: bool) -> dict[str, float]:
    from stepscope.checkpoint_files.model_tensors import model_tensors
    from stepscope.checkpoint_files.reading import read
    from stepscope.checkpoint_files.statistics import measure

    imports = _peak()
    nbytes = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        if cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        if kind == "plain":
            buffer = bytearray(PIECE)
            while file.readinto(buffer):
                pass
        else:
            measure(model_tensors(read(path)))
        seconds = time.perf_counter() - start
    return {"speed": nbytes / 1e9 / seconds, "peak": _peak(), "imports": imports}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _write(path: Path, nbytes: int, dtype: str) -> None:
    """Write a file of safetensors tensor by tensor, which needs the memory of one."""
    import torch

    kind = getattr(torch, dtype)
    torch.manual_seed(0)
    values = bytearray(TENSOR)
    torch.frombuffer(values, dtype=kind).copy_(torch.randn(TENSOR // kind.itemsize))
    name = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}[dtype]
    count = max(1, nbytes // TENSOR)
    header = {
        f"layer.{i}.weight": {
            "dtype": name,
            "shape": [TENSOR // kind.itemsize],
            "data_offsets": [i * TENSOR, (i + 1) * TENSOR],
        }
        for i in range(count)
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(count):
            file.write(values)
        os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main())
