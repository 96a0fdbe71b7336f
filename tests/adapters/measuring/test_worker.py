"""What one measuring process does to a program, and what it reads off it."""

import textwrap
from pathlib import Path

import pytest

from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.rounds import measure
from stepscope.evidence.savings import Sample, Variant

PROGRAM = """
    import sys, torch
    from torch import nn

    print("steps", sys.argv[1])
    model = nn.Sequential(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.Linear(256, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for step in range(int(sys.argv[1])):
        optimizer.zero_grad()
        model(torch.randn(8, 64)).square().mean().backward()
        optimizer.step()
        schedule.step()
    print("reached the end")
"""
PART = 4 * (64 * 256 + 256 + 2 * 256)  # bytes of layers 0 and 1
REST = 4 * (256 * 2 + 2)


def job(target: str, *arguments: str, patterns: tuple[str, ...] = ("0", "1")) -> Job:
    return Job(
        target=target,
        is_module=False,
        arguments=arguments,
        patterns=patterns,
        variant=Variant.FULL,
        round=0,
        warm_up=2,
        steps=3,
    )


def test_each_variant_is_what_its_name_says(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(PROGRAM))
    said: list[str] = []
    found = measure(job(str(script), "50"), 1, tuple(Variant), said.append)
    assert [each.error for each in found.samples] == [""] * len(Variant)
    by = {each.variant: each for each in found.samples}
    assert all(len(each.steps) == 3 for each in found.samples)
    assert all(step.total > 0 and step.backward > 0 for s in found.samples for step in s.steps)
    for variant in (Variant.GIVEN, Variant.FULL, Variant.ZERO):
        assert by[variant].gradient_bytes == PART + REST
        assert by[variant].state_bytes == pytest.approx(2 * (PART + REST), abs=64)
    for variant in (Variant.FROZEN, Variant.WITHOUT_GRAPH, Variant.CACHED):
        assert by[variant].gradient_bytes == REST
        assert by[variant].state_bytes == pytest.approx(2 * REST, abs=64)
    assert 0 < by[Variant.FULL].share < 1
    assert found.predicted is not None
    assert found.predicted.is_prefix
    assert said[0] == "the part's share of the forward"
    assert said[1].startswith("predicted: a step ")
    assert said[2] == "as it is, round 1 of 1"


def failed(tmp_path: Path, program: str, *arguments: str) -> Sample:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(program))
    found = measure(job(str(script), *arguments), 1, (Variant.FROZEN,))
    (sample,) = found.samples
    assert not sample.steps
    return sample


def test_a_program_that_ends_too_early_is_told(tmp_path: Path) -> None:
    assert failed(tmp_path, PROGRAM, "3").error == "it ended after 3 steps"


def test_a_program_that_raises_is_told(tmp_path: Path) -> None:
    assert failed(tmp_path, "raise OSError('no data')").error == "OSError: no data"


def test_a_program_that_ends_its_process_is_told(tmp_path: Path) -> None:
    assert failed(tmp_path, "import os\nos._exit(7)").error.startswith("it left with 7")


def test_a_part_that_something_trainable_feeds_is_no_prefix(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(PROGRAM))
    task = job(str(script), "50", patterns=("1",))
    found = measure(task, 1, (Variant.FROZEN,))
    assert found.predicted is not None
    assert not found.predicted.is_prefix
