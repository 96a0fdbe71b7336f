"""Whether pairs, batches and warm-up make a run, said before a former run is touched."""

import math

from stepscope_systems.rgbt_detection.config import Config


def expect_feasible(config: Config, pairs: int) -> None:
    """Hold the options of a run against the number of its training pairs.

    Raises:
        ValueError: the pairs make no batch for each process, or the warm-up takes the whole run.
    """
    run, data, optimizer = config.run, config.data, config.optimizer
    share = pairs // run.devices
    if share < data.batch:
        raise ValueError(
            f"{pairs} training pairs make no batch of {data.batch} for each of {run.devices} "
            f"processes; expected data.batch of {share} or less"
        )
    steps = math.ceil(share // data.batch / optimizer.accumulate) * run.epochs
    if optimizer.warmup_steps >= steps:
        raise ValueError(
            f"optimizer.warmup_steps is {optimizer.warmup_steps}, and the run has {steps} "
            "optimizer steps: the learning rate would never reach its value; expected fewer"
        )
