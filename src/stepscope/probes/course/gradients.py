"""How large the gradients are, by module."""

import torch

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun

SUBJECT = "gradient"
MOST = 64  # names; below it a model is named by its modules, above by the modules that hold them


class GradientSampler(Sampler):
    """Notes the Euclidean norm of each module's gradients, as the optimizer finds them."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._names: dict[int, str] = {}  # by id of the parameter
        self._depth = 0

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure all at once, on their device."""
        together: dict[str, list[torch.Tensor]] = {}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None or not parameter.requires_grad:  # frozen, and left as it was
                    continue
                if gradient.layout is not torch.strided:
                    continue
                if hasattr(gradient, "to_local"):  # of a DTensor: the part on this process
                    gradient = gradient.to_local()
                together.setdefault(self._name(parameter), []).append(gradient)
        if not together:
            return
        norms = {name: torch.nn.utils.get_total_norm(each) for name, each in together.items()}
        for name, norm in norms.items():
            self.notes.number(SUBJECT, name, norm)

    def _name(self, parameter: torch.Tensor) -> str:
        if id(parameter) not in self._names:
            if not self._names:
                self.run.names.grow_stale(settle=True)
            held = self.run.held
            full = {key: self.run.names.tensor(tensor) for key, tensor in held.items()}
            self._names = _short(full)
        return self._names[id(parameter)]


def _short(names: dict[int, str]) -> dict[int, str]:
    """Cut names down to as many leading parts as leave at most `MOST` different ones.

    Where the first parts alone are more, all have one name: "".
    """
    parts = {key: name.split(".")[:-1] for key, name in names.items()}
    deepest = max(map(len, parts.values()), default=0)
    for depth in range(deepest, 0, -1):
        short = {key: ".".join(each[:depth]) for key, each in parts.items()}
        if len(set(short.values())) <= MOST:
            return short
    return dict.fromkeys(names, "")
