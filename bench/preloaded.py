"""Starts Python programs as forks of a process that has imported torch already.

`run(["-m", "module", ...])` gives what `subprocess.run` of a fresh interpreter would, some seconds
of imports sooner. Of each calling process there is one server, which ends with it:

    python -m bench.preloaded      reads one request a line, and answers each with an exit status
"""

import functools
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
LIMIT_S = 600.0
OUTPUTS = ("stdout", "stderr")


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a module or a script in a folder, on one thread, and return what it said."""
    with tempfile.TemporaryDirectory() as name:
        files = {output: Path(name, output) for output in OUTPUTS}
        asked = {"arguments": arguments, "folder": str(folder), "environment": {**os.environ}}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        request = {**asked, **{output: str(file) for output, file in files.items()}}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = (file.read_text(errors="replace") for file in files.values())
        return subprocess.CompletedProcess(arguments, status, *said)


@functools.cache
def _server() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.preloaded"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **ONE_THREAD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def serve() -> None:
    """Fork for each request. What the child runs ends as a program does: `main` returns there."""
    import torch
    import torchvision

    assert torch.__version__
    assert torchvision.__version__
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
            return
        timer = threading.Timer(LIMIT_S, os.kill, (pid, signal.SIGKILL))
        timer.start()
        _, status = os.waitpid(pid, 0)
        timer.cancel()
        timer.join()
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request: dict[str, object]) -> None:
    """Be the program that was asked for."""
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update({**request["environment"], **ONE_THREAD})  # type: ignore[dict-item]
    for number, output in enumerate(OUTPUTS, start=1):
        file = os.open(str(request[output]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    words = [str(word) for word in request["arguments"]]  # type: ignore[attr-defined]
    if words[0] == "-m":
        sys.path[0] = ""
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words[0]).parent.resolve())
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    serve()
