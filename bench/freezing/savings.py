"""Measures what freezing the backbone of a detector saves.

python -m bench.freezing.savings                     about 8 minutes on two idle cores
python -m bench.freezing.savings --rounds 1 --steps 2

Prints a table for each model, the prediction beside it, and what has been claimed of freezing: a
backward of 60 %, a memory of 70 % and a speed of 1.3x; and the goal: against lr 0, a step at least
1.3x as fast with at most 0.6x the memory.
"""

import argparse
import sys

from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.rounds import measure
from stepscope.evidence.savings import Measured, Variant
from stepscope.reporters.tables.savings import render

MODELS = ("resnet50_detector", "vit_s_detector")
ALL = tuple(variant for variant in Variant if variant is not Variant.GIVEN)
CLAIMED = {"backward": 0.6, "memory": 0.7, "speed": 1.3}
GOAL = {"speed": 1.3, "memory": 0.6}


def verdicts(measured: Measured) -> list[str]:
    """Say what is true of the claims, which speak of full tuning, and of the goal."""
    backward = measured.time(Variant.FROZEN, Variant.FULL, "backward")
    memory = measured.memory(Variant.FROZEN, Variant.FULL)
    speed = measured.time(Variant.FROZEN, Variant.FULL)
    against_zero = measured.time(Variant.FROZEN, Variant.ZERO)
    net = measured.memory(Variant.FROZEN, Variant.ZERO)
    peak = measured.memory(Variant.FROZEN, Variant.ZERO, net=False)
    if None in (backward, memory, speed, against_zero, net, peak):
        return ["The freeze was not measured."]
    is_reached = 1 / against_zero.median >= GOAL["speed"] and net.median <= GOAL["memory"]
    claims = (
        f"Claimed: backward {CLAIMED['backward']:.0%}, memory {CLAIMED['memory']:.0%}, speed "
        f"{CLAIMED['speed']}x. Found: backward {backward.median:.0%}, memory {memory.median:.0%} "
        f"(net), speed {1 / speed.median:.2f}x."
    )
    goal = (
        f"Goal against lr 0 (speed >= {GOAL['speed']}x, net memory <= {GOAL['memory']}x): "
        f"{'reached' if is_reached else 'missed'} with {1 / against_zero.median:.2f}x and "
        f"{net.median:.2f}x ({peak.median:.2f}x with what the imports hold)."
    )
    return [claims, goal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    options = parser.parse_args()
    for name in options.models:
        found = measured(f"bench.freezing.models:{name}", ALL, options)
        sys.stdout.write("\n".join([render(found, "markdown"), *verdicts(found), "", ""]))
        sys.stdout.flush()
    if "resnet50_detector" in options.models:
        by_lightning(options)


def by_lightning(options: argparse.Namespace) -> None:
    """Compare with Lightning's callback, which leaves normalisation trainable by default."""
    theirs = measured("bench.freezing.models:resnet50_by_lightning", (Variant.GIVEN,), options)
    ours = measured("bench.freezing.models:resnet50_detector", (Variant.FROZEN,), options)
    for what, found, variant in (
        ("BackboneFinetuning", theirs, Variant.GIVEN),
        ("stepscope.freeze", ours, Variant.FROZEN),
    ):
        samples = found.of(variant)
        seconds = sorted(sample.seconds("total") for sample in samples)
        net = sorted(sample.net_bytes for sample in samples)
        sys.stdout.write(
            f"{what}: step {seconds[len(seconds) // 2]:.3f} s ({seconds[0]:.3f}-{seconds[-1]:.3f}),"
            f" net memory {net[len(net) // 2] >> 20} MiB\n"
        )


def measured(target: str, variants: tuple[Variant, ...], options: argparse.Namespace) -> Measured:
    job = Job(
        target=target,
        is_module=False,
        arguments=(),
        patterns=("backbone",),
        variant=variants[0],
        round=0,
        warm_up=options.warm_up,
        steps=options.steps,
    )
    return measure(job, options.rounds, variants, lambda said: print(said, file=sys.stderr))


if __name__ == "__main__":
    main()
