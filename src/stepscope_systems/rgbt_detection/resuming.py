"""Goes on with a run that was interrupted, and refuses to go on as another one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepscope_systems.rgbt_detection.checkpoints import read_config
from stepscope_systems.rgbt_detection.config import Config, Stage
from stepscope_systems.rgbt_detection.initialisation import content_of

# What Lightning and the module need of a checkpoint, to go on exactly.
_NEEDED = (
    "pytorch-lightning_version",
    "state_dict",
    "epoch",
    "global_step",
    "loops",
    "optimizer_states",
    "lr_schedulers",
    "callbacks",
)
# What does not change the numbers of a run; the start of one that goes on lies behind it.
_FREE = frozenset(
    {
        "data.workers",
        "run.accelerator",
        "run.checkpoint",
        "run.init",
        "run.output",
        "run.progress",
        "run.resume",
        "run.threads",
        "run.weights",
    }
)


def expect_same_run(config: Config, stage: Stage) -> None:
    """Compare the configuration with the one beside the checkpoint that is to be resumed.

    The optimizer's and the schedule's state come from the checkpoint, so another learning rate or
    length would be ignored, or bend the schedule.

    Raises:
        FileNotFoundError: the checkpoint, or the configuration beside it, is not there.
        ValueError: it is of the other stage, or of a run with other options; or it cannot be read,
            or holds weights without what it takes to go on.
    """
    if config.run.resume is None:
        return
    path = Path(config.run.resume)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected the last.ckpt of this very run")
    begun, begun_stage = read_config(path.parent / "config.yaml")
    if begun_stage != stage:
        raise ValueError(
            f"{path} is of {begun_stage}, and this is {stage}; resume a run of {stage}, or start "
            f"from it by --run.checkpoint {path}"
        )
    was, now = _flat(begun), _flat(config)
    others = [
        f"{name} is {now[name]!r}, was {was[name]!r}"
        for name in now
        if name not in _FREE and now[name] != was[name]
    ]
    if others:
        raise ValueError(
            f"{path} is of a run with other options ({'; '.join(others)}); expected the same: give "
            f"them by --config {path.parent / 'config.yaml'}, or start anew from its weights by "
            f"--run.checkpoint {path}"
        )
    _expect_whole(path)


def _expect_whole(path: Path) -> None:
    content = content_of(path)
    held = content.keys() if isinstance(content, dict) else ()
    if missing := [name for name in _NEEDED if name not in held]:
        raise ValueError(
            f"{path} has no {', '.join(missing)}; expected the last.ckpt of an interrupted run; "
            "weights alone are started from by --run.checkpoint"
        )


def _flat(config: Config) -> Mapping[str, Any]:
    return {
        f"{section}.{name}": value
        for section, table in msgspec.to_builtins(config).items()
        for name, value in table.items()
    }
