"""Comparisons are read from the source, in whichever way they are written."""

from pathlib import Path

import torch

from stepscope.probes.course.comparisons import comparisons


class Written(torch.nn.Module):
    """Six ways to say that something has begun, and four that say something else."""

    def forward(self) -> list[bool]:
        return [
            bool(self.a > self.warmup_steps),
            self.b >= self.start_iter,
            self.warmup_steps < int(self.c),
            self.start_iter <= self.d.item(),
            self.e < self.delay,
            bool(self.f[0] > float(self.begin_epoch)),
            self.g < self.patience,
            self.h + 1 > self.warmup_steps,
            self.i == self.start_iter,
            self.start_a < self.start_b,
        ]


def test_comparisons_with_a_beginning_are_found() -> None:
    found = {each.counter: (each.threshold, each.is_inclusive) for each in comparisons(Written)}
    assert found == {
        "a": ("warmup_steps", False),
        "b": ("start_iter", True),
        "c": ("warmup_steps", False),
        "d": ("start_iter", True),
        "e": ("delay", True),
        "f": ("begin_epoch", False),
    }


def test_the_line_is_that_of_the_comparison() -> None:
    lines = Path(__file__).read_text().splitlines()
    for each in comparisons(Written):
        assert f"self.{each.counter}" in lines[each.at.line - 1]
        assert f"self.{each.threshold}" in lines[each.at.line - 1]


def test_a_class_without_source_and_those_of_torch_have_none() -> None:
    made = type("Made", (torch.nn.Module,), {})
    assert comparisons(made) == comparisons(torch.nn.BatchNorm2d) == ()
