"""How long `stepscope --help` takes, whether it imports torch, and how long judging takes.

    python -m bench.start [--runs N]

Judging is measured on a recording of ResNet-50.
"""

import argparse
import subprocess
import sys
import time
from statistics import median

HELP = "import sys; sys.argv = ['stepscope', '--help']; from stepscope.cli import main\n"
ASK = "try:\n    main()\nfinally:\n    sys.stderr.write(str('torch' in sys.modules))\n"


def help_time(runs: int) -> list[float]:
    """Milliseconds of each `stepscope --help`."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", HELP + "main()"], capture_output=True, check=True)
        times.append(1000 * (time.perf_counter() - began))
    return times


def imports_torch() -> bool:
    """Tell whether torch is in memory after `stepscope --help`."""
    command = [sys.executable, "-c", HELP + ASK]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stderr.endswith("True")


def judging_time(runs: int) -> tuple[list[float], int, int]:
    """Milliseconds to read a recording and ask all rules; its bytes; how many rules."""
    import torch
    from bench.overhead import STEPS, workload
    from stepscope.catalogue import every_rule
    from stepscope.core import Recording, judge
    from stepscope.evidence.environment import Ending, Run
    from stepscope.evidence.kinds import every_kind
    from stepscope.probes.observation import Observation
    from stepscope.session import every_probe

    torch.set_num_threads(1)
    observation = Observation(every_probe(), steps=STEPS)
    step = workload("resnet50", "cpu", batch=4, size=64)
    with observation:
        for _ in range(STEPS):
            step()
    run = Run(program="resnet50", steps=STEPS, asked=STEPS, ending=Ending.FINISHED)
    saved = Recording(run, *observation.evidence).to_json()
    rules, kinds = every_rule(), every_kind()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        judge(rules, Recording.from_json(saved, kinds))
        times.append(1000 * (time.perf_counter() - began))
    return times, len(saved), len(rules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    times = help_time(runs)
    print(
        f"stepscope --help: {median(times):.0f} ms (fastest {min(times):.0f}, slowest "
        f"{max(times):.0f} of {runs}); torch imported: {'yes' if imports_torch() else 'no'}"
    )
    times, size, rules = judging_time(runs)
    print(
        f"judging: {median(times):.1f} ms (fastest {min(times):.1f}, slowest {max(times):.1f}) for "
        f"{rules} rules on a recording of ResNet-50, {size / 1024:.0f} KiB"
    )


if __name__ == "__main__":
    main()
