"""The models of a run, looked for only where an optimizer holds something new."""

import torch

from stepscope.probes.live_run import LiveRun


class Models:
    """The root modules that are known, and those that were made since with an optimizer."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._held: frozenset[int] = (
            frozenset()
        )  # ids of the tensors in optimizers, at the last look

    def roots(self) -> list[torch.nn.Module]:
        """Return them. To look for new ones takes about 0.1 s: what is held tells when to."""
        held = self._run.held
        if not held:
            return []  # the optimizers are gone, and what they trained may be
        names = self._run.names
        new = [tensor for key, tensor in held.items() if key not in self._held]
        self._held = frozenset(held)
        if any(names.known(tensor) is None for tensor in new):
            names.grow_stale(settle=True)
            names.refresh()
        return names.roots()
