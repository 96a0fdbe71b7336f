"""What one measuring process does to a program, and what it reads off it."""

import textwrap
from pathlib import Path

import msgspec
import pytest

from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.rounds import measure, sampled
from stepscope.evidence.savings import Sample, Variant

PROGRAM = """
    import sys, torch
    from torch import nn

    print("steps", sys.argv[1])
    model = nn.Sequential(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.Linear(256, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10)
    for step in range(int(sys.argv[1])):
        try:
            optimizer.zero_grad()
            model(torch.randn(8, 64)).square().mean().backward()
            optimizer.step()
        except:
            print("batch skipped")
        schedule.step()
        print(schedule.get_last_lr())
    print("reached the end")
"""
CLOSURE = """
    import time, torch
    from torch import nn

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def closure():
        optimizer.zero_grad()
        time.sleep(0.05)
        loss = model(torch.ones(2, 4)).sum()
        loss.register_hook(lambda gradient: time.sleep(0.05))
        loss.backward()
        return loss

    while True:
        optimizer.step(closure)
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


def written(folder: Path, program: str) -> str:
    script = folder / "train.py"
    script.write_text(textwrap.dedent(program))
    return str(script)


def test_each_variant_is_what_its_name_says_and_one_that_fails_stops_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise OSError('no data')")
    said: list[str] = []
    variants = (Variant.GIVEN, Variant.FULL, Variant.ZERO, Variant.FROZEN, Variant.CACHED)
    task = job(written(tmp_path, PROGRAM), "50")
    found = measure(task, 1, variants, said.append, given=str(broken))
    assert [each.error for each in found.samples] == ["OSError: no data", "", "", "", ""]
    by = {each.variant: each for each in found.samples}
    for variant in (Variant.FULL, Variant.ZERO):
        assert by[variant].gradient_bytes == PART + REST
        assert by[variant].state_bytes == pytest.approx(2 * (PART + REST), abs=64)
    for variant in (Variant.FROZEN, Variant.CACHED):
        assert by[variant].gradient_bytes == REST
        assert by[variant].state_bytes == pytest.approx(2 * REST, abs=64)
    for sample in found.samples[1:]:
        assert len(sample.steps) == 3
        assert all(step.total > step.backward > 0 for step in sample.steps)
        assert sample.net_bytes < 64 << 20, "imports count as the model's memory"
    assert 0 < by[Variant.FULL].share < 1
    assert found.device == "cpu"
    assert found.predicted is not None
    assert found.predicted.is_prefix
    assert said[0] == "the part's share of the forward"
    assert said[1].startswith("predicted: a step ")
    assert said[2] == "as it is, round 1 of 1"


@pytest.fixture(scope="module")
def in_a_closure(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Of a program that gives its optimizer a closure, as Lightning does."""
    folder = tmp_path_factory.mktemp("closure")
    task = job(written(folder, CLOSURE), patterns=("1",))
    return sampled(msgspec.structs.replace(task, variant=Variant.FROZEN), folder)


def test_forward_and_backward_in_a_closure_are_no_time_of_the_optimizer(
    in_a_closure: Sample,
) -> None:
    assert in_a_closure.seconds("forward") == pytest.approx(0.05, abs=0.04)
    assert in_a_closure.seconds("backward") == pytest.approx(0.05, abs=0.04)
    assert in_a_closure.seconds("optimizer") < 0.05


def test_a_part_that_something_trainable_feeds_is_no_prefix(in_a_closure: Sample) -> None:
    assert not in_a_closure.is_prefix


def test_a_program_that_ends_too_early_is_told(tmp_path: Path) -> None:
    sample = sampled(job(written(tmp_path, PROGRAM), "3"), tmp_path)
    assert sample.error == "it ended after 3 steps"
    assert not sample.steps


def test_a_program_that_ends_its_process_is_told(tmp_path: Path) -> None:
    script = written(tmp_path, "import os, sys\nprint('no disk', file=sys.stderr)\nos._exit(7)")
    sample = sampled(job(script), tmp_path)
    assert sample.error.startswith("it left with 7: ")
    assert sample.error.endswith("no disk")
    assert not sample.steps
