"""What a program hands to TensorBoard is heard, and handed on unchanged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.probes.course.metrics import MOST, MetricSampler
from stepscope.probes.course.pulse import Pulse

pytest.importorskip("tensorboard")
from torch.utils.tensorboard import SummaryWriter


def heard(act: Any, *, steps: int = 2) -> dict[str, list[tuple[int, float]]]:
    """Let a program act after each of its steps, and return what was heard, by name."""
    lines: list[Line] = []
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    with Pulse([MetricSampler], line=lines.append) as pulse:
        for step in range(1, steps + 1):
            parameter.grad = torch.ones(1)
            optimizer.step()
            act(step)
        assert not pulse.run.faults
    points: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.numbers.get("metric", {}).items():
            points.setdefault(name, []).append((line.step, value))
    return points


def test_numbers_are_at_the_step_of_the_run_whatever_the_program_counts_by(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)  # type: ignore[no-untyped-call]

    def act(step: int) -> None:
        writer.add_scalar("acc", step / 4, 1000 * step)
        writer.add_scalar("loss", torch.tensor([step / 2]), global_step=1000 * step)
        writer.add_scalars("both", {"one": step, "two": 2.5}, 1000 * step)

    assert heard(act) == {
        "acc": [(1, 0.25), (2, 0.5)],
        "loss": [(1, 0.5), (2, 1.0)],
        "both/one": [(1, 1.0), (2, 2.0)],
        "both/two": [(1, 2.5), (2, 2.5)],
    }
    writer.close()


def test_a_second_writer_leads_its_names_by_its_folder(tmp_path: Path) -> None:
    writers = [SummaryWriter(tmp_path / name) for name in ("train", "val")]  # type: ignore[no-untyped-call]

    def act(step: int) -> None:
        for at, writer in enumerate(writers):
            writer.add_scalar("loss", float(at), step)

    assert heard(act, steps=1) == {"loss": [(1, 0.0)], "val/loss": [(1, 1.0)]}


def test_what_is_no_number_is_left_alone_and_names_are_bounded(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)  # type: ignore[no-untyped-call]

    def act(step: int) -> None:
        writer.add_text("text", "words", step)
        for number in range(MOST + 5):
            writer.add_scalar(f"weight{number}", 1.0, step)

    points = heard(act)
    assert len(points) == MOST
    assert all(len(each) == 2 for each in points.values())


def test_the_writer_raises_what_it_raises_and_gets_what_it_gets(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = SummaryWriter(tmp_path)  # type: ignore[no-untyped-call]

    def act(step: int) -> None:
        writer.add_scalar(tag="acc", scalar_value=0.5, global_step=7 * step)
        with pytest.raises(TypeError):
            writer.add_scalar("acc")

    assert heard(act) == {"acc": [(1, 0.5), (2, 0.5)]}
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("acc")] == [(7, 0.5), (14, 0.5)]


PROGRAM = """
import sys
from stepscope.probes.course.metrics import MetricSampler
from stepscope.probes.course.pulse import Pulse
lines = []
with Pulse([MetricSampler], line=lines.append):
    assert "torch.utils.tensorboard" not in sys.modules
    from torch.utils.tensorboard import SummaryWriter
    SummaryWriter("logs").add_scalar("acc", 0.5)
print([line.numbers for line in lines])
"""


def test_the_module_is_waited_for_and_never_imported_by_us(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == "[{'metric': {'acc': 0.5}}]\n", done.stderr
