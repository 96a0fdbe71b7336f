"""In how many of the sampled steps an exception left a forward, and training went on."""

import torch

from stepscope.evidence.course.swallowed import LOOKED, Swallowed
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.handlers import Line
from stepscope.probes.live_run import LiveRun
from stepscope.probes.raising import Raised, joined, raised_by
from stepscope.probes.value_tracing.arguments import tensors_in

SUBJECT = "swallowed"
MOST = 16  # kinds of exceptions in a run
Key = tuple[str, str, Line | None, bool, bool]


class SwallowedSampler(Sampler):
    """Counts steps, not exceptions: what is raised for each image of a batch counts once."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._flying: Raised | None = None
        self._landed: list[Raised] = []  # in this step
        self._numbers: dict[Key, int] = {}
        self._counts: dict[Key, int] = {}
        self._looked, self._step = 0, -1

    def module_raised(
        self, module: torch.nn.Module, given: tuple[object, ...], exception: Exception
    ) -> None:
        """Remember where it began; it may yet end the program."""
        if self._flying is not None and self._flying.led_to(exception):
            return  # on its way out, through a module further out
        self._land()
        is_given_trained = any(tensor.requires_grad for tensor in tensors_in(given))
        self._flying = raised_by(self.run, module, exception, is_given_trained=is_given_trained)

    def module_recovered(self, module: torch.nn.Module) -> None:
        """It was tried again, with success."""
        self._land()
        for each in self._landed:
            each.retried |= each.instance() is module

    def model_returned(self, module: torch.nn.Module, output: object) -> None:  # noqa: ARG002
        """The program goes on."""
        self._land()

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:  # noqa: ARG002
        """The program goes on."""
        self._land()

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Count the step, and tell what is new in it."""
        self._land()
        self._looked += self._step != self.run.step
        self._step = self.run.step
        alike: dict[Key, list[Raised]] = {}
        for each in self._landed:
            alike.setdefault((*each.key, each.retried, each.trained), []).append(each)
        self._landed.clear()
        for key, group in alike.items():
            if key not in self._numbers and len(self._numbers) < MOST:
                self._numbers[key] = number = len(self._numbers)
                self._counts[key] = 0
                told = joined(group)
                self.notes.happen(Swallowed(number=number, exception=told, at=told.raised_at))
            if key in self._counts:
                self._counts[key] += 1
        if self._numbers:
            self.notes.number(SUBJECT, LOOKED, self._looked)
        for key, number in self._numbers.items():
            self.notes.number(SUBJECT, str(number), self._counts[key])

    def _land(self) -> None:
        """Whatever was on its way out has been caught."""
        if self._flying is not None:
            self._landed.append(self._flying)
            self._flying = None
