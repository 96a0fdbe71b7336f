"""The environment switch: `STEPSCOPE=run` or `STEPSCOPE=check`, for a program one cannot touch.

`stepscope.pth` lies beside the package, where every Python that starts reads it. Without the
variable it asks for the variable, and no more; with it, `wait_for_torch` is called.
"""

import functools
import os
import sys
import threading
from collections.abc import Callable, Sequence

from stepscope.importing import AfterImport
from stepscope.inherited import COMMANDS, LAUNCHED, OPTIONS, VARIABLE, WITHIN, is_launcher

WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")  # options of `python` that take a word


@functools.cache
def wait_for_torch() -> None:
    """Begin to watch this program right after its first `import torch`; once, if asked twice.

    Several folders of the same Python may hold the file that asks for it.
    Nothing happens in processes that only help: those of multiprocessing, which are watched by
    the process that starts them, launchers, and torch's own.
    """
    if not is_helper(sys.orig_argv):
        program, arguments = program_of(sys.orig_argv)
        sys.meta_path.insert(0, AfterImport("torch", lambda _: _begin(program, arguments)))


def program_of(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return what Python was asked to run, and the program's own arguments.

    "train.py", "-m package.module", "-c"; "" where it was asked for nothing.

    >>> program_of(["python", "-X", "dev", "-um", "package.train", "--lr", "1"])
    ('-m package.train', ('--lr', '1'))
    """
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "-" or not word.startswith("-"):
            return word, tuple(rest)
        if word in WITH_VALUE:
            del rest[:1]
        elif not word.startswith("--") and (at := _first(word, "mc")):
            value = word[at + 1 :] or (rest.pop(0) if rest else "")
            return (f"-m {value}" if word[at] == "m" else "-c"), tuple(rest)
    return "", ()


def is_helper(words: Sequence[str]) -> bool:
    """Tell a process that trains nothing, or whose training is watched from elsewhere.

    What is no helper need not train: nothing is said and nothing written of a program that takes
    no optimizer step.
    """
    program, arguments = program_of(words)
    torch_itself = f"{os.sep}torch{os.sep}_inductor{os.sep}"  # workers that compile
    return (
        "--multiprocessing-fork" in arguments
        or (program == "-c" and "from multiprocessing." in " ".join(words))
        or torch_itself in program
        or is_launcher(program)
    )


def _first(word: str, letters: str) -> int:
    """Return where one of the letters first is among joined options; 0 if nowhere."""
    for at, letter in enumerate(word[1:], start=1):
        if letter in letters:
            return at
        if letter in "WX":  # the rest is its value
            return 0
    return 0


def _begin(program: str, arguments: tuple[str, ...]) -> None:
    """Torch is there: from here on the program is watched."""
    command = os.environ.get(VARIABLE, "")
    if "stepscope.cli" in sys.modules or _is_child() or not command:
        return  # the command line watches already, or the process that started this one does
    if command.startswith(LAUNCHED):
        _join(command, program, arguments)
        return
    if command.startswith(WITHIN):
        _when_a_rank(lambda: _join(command, program, arguments))
        return
    obstacle = _obstacle(command)
    if not obstacle:
        try:
            from stepscope.cli.switched import begin

            begin(command, program, arguments, os.environ.get(OPTIONS, ""))
        except ValueError as mistake:
            obstacle = str(mistake)
        except Exception as fault:  # noqa: BLE001 - the program has not asked for us, and goes on
            obstacle = f"by a fault of stepscope: {fault!r}"
    if obstacle:
        sys.stderr.write(f"stepscope: this program is not watched: {obstacle}\n")


def _when_a_rank(join: Callable[[], None]) -> None:
    """Join a run now, where the environment says that this is a rank, or with a process group."""
    if "RANK" in os.environ or "LOCAL_RANK" in os.environ:
        join()
        return
    groups = sys.modules.get("torch.distributed.distributed_c10d")  # none without support for it
    if groups is not None:
        make = groups.init_process_group
        has_joined = False

        @functools.wraps(make)
        def made(*args: object, **kwargs: object) -> None:
            nonlocal has_joined
            make(*args, **kwargs)
            if not has_joined and groups.get_world_size() > 1:
                has_joined = True
                join()

        groups.init_process_group = sys.modules["torch.distributed"].init_process_group = made  # type: ignore[attr-defined]


def _join(command: str, program: str, arguments: tuple[str, ...]) -> None:
    if threading.current_thread() is not threading.main_thread() or _is_half_loaded():
        return  # the report says that nothing is known of this rank
    try:
        from stepscope.adapters.joining_rank import join

        join(command, program, arguments)
    except Exception as fault:  # noqa: BLE001 - the program has not asked for us, and goes on
        sys.stderr.write(f"stepscope: this rank is not watched, by a fault of ours: {fault!r}\n")


def _obstacle(command: str) -> str:
    """Say why this program cannot be watched; "" if it can."""
    if command not in COMMANDS:
        return f"{VARIABLE} is {command!r}; expected {' or '.join(COMMANDS)}"
    if threading.current_thread() is not threading.main_thread():
        return "torch was first imported in a thread; import it in the main one"
    if _is_half_loaded():
        return "it imports parts of stepscope before torch; import torch first"
    return ""


def _is_child() -> bool:
    """Tell a process of multiprocessing that was forked before torch was imported."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


def _is_half_loaded() -> bool:
    return any(
        name.startswith("stepscope.") and getattr(module.__spec__, "_initializing", False)
        for name, module in tuple(sys.modules.items())
    )
