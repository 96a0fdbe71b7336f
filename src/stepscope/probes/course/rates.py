"""The learning rate of each parameter group."""

import torch

from stepscope.probes.course.sampler import Sampler
from stepscope.probes.schedules import rates

SUBJECT = "rate"


class RateSampler(Sampler):
    """Notes what a step uses, by optimizer and group: "0.1" is the second group of the first."""

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the rates."""
        place = self.run.index(optimizer)
        for group, rate in enumerate(rates(optimizer)):
            self.notes.number(SUBJECT, f"{place}.{group}", rate)
