"""What is saved is told by name and identity, and what is left out by comparing with the start."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.saves import LeftOut, Saved
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.saves import SaveSampler


class Training:
    """A layer with a queue, a pointer and a counter beside its weights."""

    def __init__(self) -> None:
        self.net = nn.Linear(3, 2)
        self.net.register_buffer("queue", torch.zeros(6, 2), persistent=False)
        self.net.queue_ptr = 0  # type: ignore[assignment]
        self.net.num_steps = 3  # type: ignore[assignment]  # that never changes
        self.optimizer = torch.optim.AdamW(self.net.parameters())

    def run(self, steps: int = 2) -> None:
        for step in range(steps):
            self.optimizer.zero_grad()
            z = self.net(torch.randn(2, 3))
            self.net.queue[2 * step : 2 * step + 2] = z.detach()  # type: ignore[operator]
            self.net.queue_ptr = 2 * step + 2  # type: ignore[assignment]
            z.square().mean().backward()
            self.optimizer.step()


def told(program: Callable[[Training], object], kind: type[Happening]) -> list[Any]:
    lines: list[Line] = []
    training = Training()
    pulse = Pulse([SaveSampler], line=lines.append, every=1)
    with pulse:
        program(training)
    assert not pulse.run.faults
    return [each for line in lines for each in line.happened if isinstance(each, kind)]


def saving(made: Callable[[Training], object], file: object) -> Callable[[Training], None]:
    def program(training: Training) -> None:
        training.run()
        torch.save(made(training), file)  # type: ignore[arg-type]

    return program


def test_a_save_is_told_with_its_path_and_what_is_in_it(tmp_path: Path) -> None:
    def made(training: Training) -> object:
        states = {"model": training.net.state_dict(), "epoch": 3}
        return {**states, "optimizer": training.optimizer.state_dict()}

    (said,) = told(saving(made, tmp_path / "last.pth"), Saved)
    assert said.path == str(tmp_path / "last.pth")
    assert (said.parameters, said.held, said.optimizers) == (2, 2, 1)
    assert said.tensors == 2 + 2 * 3  # weight and bias, and for each: step and two moments
    assert said.at.function.endswith("program")


def test_copies_are_known_by_their_names() -> None:
    def made(training: Training) -> object:
        return {key: value.half() for key, value in training.net.state_dict().items()}

    (said,) = told(saving(made, io.BytesIO()), Saved)
    assert (said.path, said.parameters) == ("", 2)


def test_safetensors_are_saves_too(tmp_path: Path) -> None:
    def program(training: Training) -> None:
        from safetensors import torch as written

        training.run()
        written.save_file(training.net.state_dict(), tmp_path / "best.safetensors")

    (said,) = told(program, Saved)
    assert said.path.endswith("best.safetensors")
    assert save_file.__module__ == "safetensors.torch"


def test_what_changes_and_is_not_saved_is_left_out() -> None:
    def made(training: Training) -> object:
        return [training.net.state_dict(), training.optimizer.state_dict()]

    (said,) = told(saving(made, io.BytesIO()), LeftOut)
    assert dict(zip(said.names, said.why, strict=True)) == {
        "queue": "a buffer that is not persistent",
        "queue_ptr": "an attribute, not a buffer",
    }
    assert said.compared == 2


@pytest.mark.parametrize(
    "made",
    [
        lambda training: [training.net, training.optimizer.state_dict()],
        lambda training: {
            "net": training.net.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "queue": training.net.queue,
            "extra": {"queue_ptr": training.net.queue_ptr},
        },
    ],
    ids=["pickled whole", "saved beside"],
)
def test_what_is_saved_in_any_way_is_not_left_out(made: Callable[[Training], object]) -> None:
    (said,) = told(saving(made, io.BytesIO()), LeftOut)
    assert said.names == ()
    assert said.compared == 2


def test_files_that_are_written_between_two_steps_are_one_checkpoint() -> None:
    def program(training: Training) -> None:
        training.run()
        torch.save(training.optimizer.state_dict(), io.BytesIO())
        torch.save(training.net.state_dict(), io.BytesIO())
        torch.save({"queue": training.net.queue, "queue_ptr": 4}, io.BytesIO())

    (said,) = told(program, LeftOut)
    assert said.names == ()


def test_weights_alone_are_not_meant_to_resume_from() -> None:
    assert not told(saving(lambda training: training.net.state_dict(), io.BytesIO()), LeftOut)


def test_what_is_written_is_what_would_be_without_a_look() -> None:
    torch.manual_seed(0)
    training, looked_at, alone = Training(), io.BytesIO(), io.BytesIO()
    with Pulse([SaveSampler], line=lambda _: None, every=1):
        training.run()
        torch.save(training.net.state_dict(), looked_at)
    torch.save(training.net.state_dict(), alone)
    assert looked_at.getvalue() == alone.getvalue()
    assert torch.save.__module__ == "torch.serialization"
