"""A loop to watch, rules that say what they are shown, and a keeper that keeps it in memory."""

from dataclasses import dataclass, field

import torch

from stepscope.core import Finding, Findings, Recording, Severity, rule
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.optimizers import Optimizers


class Loop:
    """A layer with batch statistics and dropout, and its optimizer."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Dropout(),
            torch.nn.Linear(8, 3),
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.losses: list[float] = []

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.optimizer.zero_grad()
            logits = self.model(torch.randn(8, 4))
            loss = torch.nn.functional.cross_entropy(logits, torch.arange(8) % 3)
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.item())

    def bits(self) -> list[torch.Tensor]:
        """All that training changes."""
        states = [value for state in self.optimizer.state.values() for value in state.values()]
        held = self.model.state_dict().values()
        return [*map(torch.clone, held), *states, torch.get_rng_state()]


@rule("TST001", Severity.ERROR)
def always_wrong(_: Optimizers) -> Findings:
    yield Finding(subject="the optimizer", message="is there", measured="1", expected="0")


@rule("TST002", Severity.ERROR)
def too_long(progress: Progress, *, most: int = 15) -> Findings:
    if progress.step >= most:
        measured = f"{progress.step} steps"
        yield Finding(subject="the run", message="is long", measured=measured, expected="less")


@rule("TST003", Severity.ERROR)
def broken(_: Progress) -> Findings:
    raise ZeroDivisionError("a rule of ours")


@dataclass
class Kept:
    """A keeper that keeps all in memory."""

    lines: list[Line] = field(default_factory=list)
    windows: list[tuple[int, Recording]] = field(default_factory=list)
    findings: list[tuple[int, str]] = field(default_factory=list)

    def line(self, line: Line) -> None:
        self.lines.append(line)

    def window(self, step: int, recording: Recording) -> None:
        self.windows.append((step, recording))

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        self.findings.append((step, code))
