"""What a program finds in its environment, left there by the user or by a run that is watched."""

import os

VARIABLE, OPTIONS = "STEPSCOPE", "STEPSCOPE_ARGS"
COMMANDS = ("run", "check")
# Set by `stepscope run` for what its program starts, PID:FOLDER after it: a rank joins the run.
WITHIN, LAUNCHED = "within:", "launched:"  # the second by a launcher, which starts nothing else
LAUNCHERS = ("torchrun", "accelerate", "deepspeed")  # load torch, and leave the training to others
LAUNCHING = ("-m accelerate.commands.launch", "-m accelerate.commands.accelerate_cli")


def is_launcher(program: str) -> bool:
    """Tell a program that starts others, and trains nothing itself.

    >>> is_launcher("-m torch.distributed.run"), is_launcher("/venv/bin/torchrun")
    (True, True)
    """
    return (
        program.startswith("-m torch.")
        or program in LAUNCHING
        or os.path.basename(program) in LAUNCHERS  # noqa: PTH119 - pathlib would have to be loaded
    )


def marker(program: str, folder: str) -> str:
    """Return what tells the ranks that this program starts which run they belong to."""
    return f"{LAUNCHED if is_launcher(program) else WITHIN}{os.getpid()}:{folder}"


def read_marker(value: str) -> tuple[int, str]:
    """Return the process above, and the folder of its run.

    >>> read_marker("within:42:/home/me/.stepscope/2026-11-21T09-12-33-train")
    (42, '/home/me/.stepscope/2026-11-21T09-12-33-train')
    """
    _, number, folder = value.split(":", maxsplit=2)
    return int(number), folder
