"""Measures what freezing the backbone of a detector saves.

python -m bench.freezing.savings                     about 7 minutes on two idle cores
python -m bench.freezing.savings --rounds 1 --steps 2 --batch 1

Prints tables for each model, the prediction beside them, and what has been claimed of freezing: a
backward of 60 %, a memory of 70 % and a speed of 1.3x; and the goal: against lr 0, a step at least
1.3x as fast with at most 0.6x the memory. "As it is", with the ResNet-50, is the freeze of
Lightning's `BackboneFinetuning` as it is by default.
"""

import argparse
import sys

from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.rounds import measure
from stepscope.evidence.savings import Measured, Variant
from stepscope.reporters.tables.savings import render

ROOM = "bench.freezing.models"
MODELS = {"resnet50_detector": f"{ROOM}:resnet50_by_lightning", "vit_s_detector": ""}
PIXELS = 224
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
        return ["- The freeze was not measured."]
    is_reached = 1 / against_zero.median >= GOAL["speed"] and net.median <= GOAL["memory"]
    claims = (
        f"- Claimed: backward {CLAIMED['backward']:.0%}, memory {CLAIMED['memory']:.0%}, speed "
        f"{CLAIMED['speed']}x. Found: backward {backward.median:.0%}, memory {memory.median:.0%} "
        f"(net), speed {1 / speed.median:.2f}x."
    )
    goal = (
        f"- Goal against lr 0 (speed >= {GOAL['speed']}x, net memory <= {GOAL['memory']}x): "
        f"{'reached' if is_reached else 'missed'} with {1 / against_zero.median:.2f}x and "
        f"{net.median:.2f}x ({peak.median:.2f}x with what was held before the model)."
    )
    return [claims, goal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--models", nargs="+", choices=[*MODELS], default=[*MODELS])
    options = parser.parse_args()
    for name in options.models:
        found = measured(name, options)
        sys.stdout.write("\n".join([render(found, "markdown"), *verdicts(found), "", ""]))
        sys.stdout.flush()


def measured(name: str, options: argparse.Namespace) -> Measured:
    job = Job(
        target=f"{ROOM}:{name}",
        is_module=False,
        arguments=(),
        patterns=("backbone",),
        variant=Variant.FULL,
        round=0,
        warm_up=options.warm_up,
        steps=options.steps,
        input_shape=(options.batch, 3, PIXELS, PIXELS),
    )
    given = MODELS[name]
    return measure(
        job,
        options.rounds,
        [each for each in Variant if given or each is not Variant.GIVEN],
        lambda said: print(said, file=sys.stderr),
        given=given,
    )


if __name__ == "__main__":
    main()
