"""Does recording change what a program computes? Compares two runs of each, bit by bit.

    python -m bench.bit_exactness [--run] [NAME...]

Each program runs to its own end, once plainly and once with its first three optimizer steps
recorded, or with `--run` watched from its first step to its last: parameters, buffers, gradients
and modes of every module, states of the optimizers, random states of torch, numpy and Python, and
all that was printed. Of a watched run it also says what was found: in healthy programs no error
and no warning is right.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.corpus import BENCH, Program, healthy
from bench.preloaded import run

STEPS = 3


def ending(program: Program, mode: str, folder: Path) -> dict[str, Any]:
    """Run the program in a process of its own, and return what it left.

    Raises:
        RuntimeError: it did not end well; the text is what it said.
    """
    output = folder / f"{mode}.json"
    driver = [str(BENCH / "driver.py"), mode, str(STEPS), str(output)]
    ended = run([*driver, *program.command(folder)], program.script.parent)
    if ended.returncode:
        raise RuntimeError(f"{program.name}, {mode}: {ended.stderr[-4000:]}")
    return json.loads(output.read_text())


def differences(plain: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """Name everything that is not the same bit for bit."""
    return [name for name, value in plain.items() if recorded[name] != value]


def main() -> None:
    names = [each for each in sys.argv[1:] if each != "--run"]
    mode = "watched" if "--run" in sys.argv else "recorded"
    changed = 0
    print(f"{'program':40} {'modules':>8} {'optimizers':>10} {'steps':>6}  verdict")
    for program in healthy():
        if names and not any(name in program.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            plain = ending(program, "plain", Path(folder))
            recorded = ending(program, mode, Path(folder))
        differing = differences(plain, recorded)
        changed += bool(differing)
        verdict = f"DIFFERENT: {', '.join(differing)}" if differing else "identical"
        counts = f"{len(plain['modules']):8} {len(plain['optimizers']):10} {recorded['steps']:6}"
        print(f"{program.name:40} {counts}  {verdict}", flush=True)
        for weight in ("faults", "crashed", "error", "warning"):
            for said in recorded.get(weight, ()):
                print(f"    {weight}: {said}", flush=True)
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
