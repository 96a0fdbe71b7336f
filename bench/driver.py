"""Runs a training script, plainly, with its first steps recorded or watched, and says how it ended.

    python -m bench.driver {plain|recorded|watched} STEPS OUTPUT SCRIPT [ARGUMENTS...]

OUTPUT is a JSON file: what the script printed, and digests of everything that training could
have changed. The script runs to its own end in all modes. Watched, every second step is sampled,
and windows of STEPS open at the start and at steps 6 and 12.
"""

import gc
import hashlib
import io
import json
import random
import runpy
import sys
import time
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that stand for every bit of nested tensors and numbers."""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()[:16]


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        state.update(f"{value.dtype}{tuple(value.shape)}".encode())
        plain = value.detach().to_dense() if value.layout != torch.strided else value.detach()
        state.update(plain.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        state.update(value.tobytes())
    elif isinstance(value, dict):
        for key, item in value.items():
            state.update(repr(key).encode())
            _feed(state, item)
    elif isinstance(value, list | tuple):
        state.update(f"{type(value).__name__}{len(value)}".encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, str | int | float | bool | type(None)):
        state.update(repr(value).encode())
    else:  # an object's address would differ from run to run
        state.update(type(value).__qualname__.encode())


class OptimizersMade:
    """Keeps every optimizer that the script makes, in order."""

    def __init__(self) -> None:
        self.made: list[torch.optim.Optimizer] = []
        plain = torch.optim.Optimizer.__init__

        def noted(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
            plain(optimizer, *args, **kwargs)
            self.made.append(optimizer)

        torch.optim.Optimizer.__init__ = noted


class ModulesMade:
    """Keeps every module that the script makes, in order, so that none is lost before the end."""

    def __init__(self) -> None:
        self.made: list[torch.nn.Module] = []
        plain = torch.nn.Module.__init__

        def noted(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            self.made.append(module)
            plain(module, *args, **kwargs)

        torch.nn.Module.__init__ = noted

    def states(self) -> list[Any]:
        """Parameters, buffers, modes and hook counts of each."""
        return [
            (type(m).__qualname__, own_tensors(m), m.training, len(m._forward_hooks))
            for m in self.made
            if "_parameters" in vars(m)
        ]


def own_tensors(module: torch.nn.Module) -> dict[str, Any]:
    """What `module` itself holds, with the gradients."""
    held = {**module._parameters, **module._buffers}
    return {name: (t, t.grad if t is not None and t.is_leaf else None) for name, t in held.items()}


def effective_lrs(evidence: list[Any]) -> dict[str, list[float]]:
    """Learning rates that the recorded steps used, by parameter."""
    from stepscope.evidence.optimizers import Optimizers

    seen = next(each for each in evidence if isinstance(each, Optimizers))
    return {name: list(group.lrs) for group in seen.groups for name in group.parameters}


def main() -> None:
    mode, steps, output, script, *arguments = sys.argv[1:]
    torch.set_num_threads(1)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    recorded: dict[str, Any] = {}
    watching = nullcontext()
    if mode == "recorded":
        watching = _recording(int(steps))
    if mode == "watched":
        watching = _watching(int(steps), script, Path(output).parent)
    modules, optimizers = ModulesMade(), OptimizersMade()  # of the program alone: imports are done
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).resolve().parent)
    printed = io.StringIO()
    with redirect_stdout(printed), watching:
        runpy.run_path(script, run_name="__main__")
    if mode == "recorded":
        recorded = {"steps": watching.run.step, "faults": watching.run.faults}
        recorded["lrs"] = effective_lrs(watching.evidence)
    if mode == "watched":
        recorded = {"steps": watching.step, "faults": watching.faults, **said_of(watching)}
    gc.collect()
    ended = {
        "printed": printed.getvalue(),
        "modules": [digest(state) for state in modules.states()],
        "optimizers": [digest(optimizer.state_dict()) for optimizer in optimizers.made],
        "torch_random": digest(torch.get_rng_state()),
        "numpy_random": digest(np.random.get_state()),  # noqa: NPY002 - the global state is meant
        "python_random": digest(random.getstate()),
        **recorded,
    }
    Path(output).write_text(json.dumps(ended, indent=1))


def said_of(watched: Any) -> dict[str, list[str]]:
    """Errors, warnings and notes of a watched run, and rules that crashed."""
    from stepscope.core.report import Status

    said: dict[str, list[str]] = {"error": [], "warning": [], "note": [], "crashed": []}
    for outcome in watched.outcomes():
        if outcome.status is Status.CRASHED:
            said["crashed"].append(f"{outcome.rule.code}: {outcome.reason}")
        for found in outcome.findings:
            severity = (found.severity or outcome.rule.severity).value
            said[severity].append(
                f"{outcome.rule.code} {found.subject}: {found.message}; {found.measured}"
            )
    return said


def _watching(steps: int, script: str, folder: Path) -> AbstractContextManager[Any]:
    """Watch as `stepscope run` does, with all rules and a recording."""
    from stepscope.catalogue import every_rule
    from stepscope.recordings.folder import begin
    from stepscope.recordings.writer import Recorder
    from stepscope.watching.watched import Plan, Watched

    run = begin(folder, script)
    recorder = Recorder(run.rank(0), clock=time.monotonic, said=lambda _: None)
    return Watched(
        script,
        rules=every_rule(),
        plan=Plan(steps=steps, at=(6, 12), every=2),
        keeper=recorder,
    )


def _recording(steps: int) -> AbstractContextManager[Any]:
    from stepscope.probes.observation import Observation
    from stepscope.session import every_probe

    return Observation(every_probe(), steps=steps)


if __name__ == "__main__":
    main()
