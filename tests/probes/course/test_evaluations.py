"""An evaluation is told by any of its signs, and a pass that belongs to the steps is not one."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils.data import DataLoader, TensorDataset

from stepscope.evidence.course.evaluation_changes import EvaluationCompared
from stepscope.evidence.course.evaluations import BackToTraining, Evaluated, PassBelongs
from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.modes import StayedInEvaluation
from stepscope.probes.course.evaluations import EvaluationSampler
from stepscope.probes.course.pulse import Pulse

STEPS = 4  # of an epoch


def loader(batches: int) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(torch.randn(2 * batches, 3)), batch_size=2)


class Training:
    """Two epochs, with something to do after each."""

    def __init__(self) -> None:
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.train, self.valid = loader(STEPS), loader(2)
        self.held_out = torch.randn(2, 3)

    def run(self, after: Callable[["Training"], object], epochs: int = 2) -> None:
        for _ in range(epochs):
            for (batch,) in self.train:
                self.step(batch)
            after(self)

    def step(self, batch: Tensor) -> None:
        self.optimizer.zero_grad()
        self.net(batch).square().mean().backward()
        self.optimizer.step()


@dataclass
class Heard:
    happened: list[tuple[int, Happening]]
    faults: list[str]

    def of(self, kind: type[Happening]) -> list[tuple[int, Any]]:
        return [(step, each) for step, each in self.happened if isinstance(each, kind)]

    @property
    def steps(self) -> list[int]:
        """Steps after which there was an evaluation."""
        return [said.evaluated for _, said in self.of(Evaluated)]


def heard(program: Callable[[], object], every: int | None = 1) -> Heard:
    lines: list[Line] = []
    pulse = Pulse([EvaluationSampler], line=lines.append, every=every)
    with pulse:
        program()
    assert not pulse.run.faults
    return Heard([(line.step, each) for line in lines for each in line.happened], pulse.run.faults)


def after_each_epoch(after: Callable[[Training], object], every: int | None = 1) -> Heard:
    return heard(lambda: Training().run(after), every)


def usual(training: Training) -> None:
    training.net.eval()
    with torch.no_grad():
        for (batch,) in training.valid:
            training.net(batch)
    training.net.train()


def without_eval(training: Training) -> None:
    with torch.no_grad():
        for (batch,) in training.valid:
            training.net(batch)


def on_training_data(training: Training) -> None:
    training.net.eval()
    with torch.inference_mode():
        for (batch,) in training.train:
            training.net(batch)
    training.net.train()


def without_a_loader(training: Training) -> None:
    with torch.no_grad():
        training.net(training.held_out)


@torch.no_grad()
def decorated(training: Training) -> None:
    training.net(training.held_out)


def with_gradients(training: Training) -> None:
    training.net.eval()
    for (batch,) in training.valid:
        training.net(batch)
    training.net.train()


def of_an_average(training: Training) -> None:
    with torch.no_grad():
        for (batch,) in training.valid:
            training.average(batch)


@pytest.mark.parametrize("every", [1, 1000])
@pytest.mark.parametrize(
    "after",
    [
        usual,
        without_eval,
        on_training_data,
        without_a_loader,
        decorated,
        with_gradients,
        of_an_average,
    ],
)
def test_an_evaluation_is_told_once_for_each_epoch(
    after: Callable[[Training], object], every: int
) -> None:
    assert after_each_epoch(after, every).steps == [STEPS, 2 * STEPS]


def test_no_evaluation_is_told_where_there_is_none() -> None:
    assert not after_each_epoch(lambda _: None).happened


def test_what_is_said_of_an_evaluation_is_what_was_done() -> None:
    (_, said), _ = after_each_epoch(without_eval).of(Evaluated)
    assert (said.module, said.kind, said.trained) == ("", "Sequential", True)
    assert (said.training, said.gradients, said.put, said.other_data) == (True, False, False, True)
    assert (said.sensitive, said.first_sensitive) == (2, "1")
    assert said.at.function == "without_eval"


def test_an_average_is_no_trained_module() -> None:
    (_, said), _ = after_each_epoch(of_an_average).of(Evaluated)
    assert not said.trained


def test_training_goes_on_after_all_evaluations_but_the_last() -> None:
    assert [step for step, _ in after_each_epoch(usual).of(BackToTraining)] == [STEPS]


def test_a_pass_on_each_batch_belongs_to_the_steps() -> None:
    def program() -> None:
        training = Training()
        for (batch,) in training.train:
            with torch.no_grad():
                training.net(batch)
            training.step(batch)

    told = heard(program)
    assert not told.steps
    assert len(told.of(PassBelongs)) == 1


def test_a_pass_before_each_step_belongs_to_the_steps_after_a_few() -> None:
    def program() -> None:
        training = Training()
        for _ in range(12):
            training.net.eval()
            with torch.no_grad():
                training.net(training.held_out)
            training.net.train()
            training.step(training.held_out)

    told = heard(program)
    assert len(told.steps) <= 3
    assert told.of(PassBelongs)


def test_two_loaders_that_feed_a_step_are_both_training() -> None:
    def program() -> None:
        training, other = Training(), loader(STEPS)
        for _ in range(3):
            for (labelled,), (unlabelled,) in zip(training.train, other, strict=True):
                with torch.no_grad():
                    training.net(unlabelled)
                training.step(labelled)

    assert not heard(program).steps


@pytest.mark.parametrize("region", [torch.no_grad, torch.enable_grad])
def test_a_loader_that_is_asked_earlier_in_each_step_feeds_it_too(region: Any) -> None:
    def program() -> None:
        training, other = Training(), loader(STEPS)
        for _ in range(3):
            labelled = iter(training.train)
            for (unlabelled,) in other:
                with region():
                    training.net(unlabelled)
                training.step(next(labelled)[0])

    assert not heard(program).steps


def test_a_batch_that_is_shown_before_the_training_makes_its_loader_no_training_loader() -> None:
    def program() -> None:
        training = Training()
        next(iter(training.valid))
        training.run(usual)

    assert heard(program).steps == [STEPS, 2 * STEPS]


def test_a_teacher_that_is_asked_in_each_step_is_no_evaluation() -> None:
    def program() -> None:
        training = Training()
        for (batch,) in training.train:
            with torch.no_grad():
                training.average(batch)
            training.step(batch)

    assert not heard(program).steps


def test_modes_that_an_evaluation_leaves_on_are_told_at_the_first_step_after_it() -> None:
    def leaves_it_on(training: Training) -> None:
        usual(training)
        training.net.eval()

    ((step, said),) = after_each_epoch(leaves_it_on, every=1000).of(StayedInEvaluation)
    assert (step, said.since, said.after_evaluation) == (STEPS, STEPS, True)
    assert said.at.function.endswith("leaves_it_on")
    assert said.kinds == ("BatchNorm1d", "Dropout")


@pytest.mark.parametrize(("steps", "told"), [(1, []), (2, [(3, 2)])])
def test_a_module_asleep_is_told_at_its_second_look(
    steps: int, told: list[tuple[int, int]]
) -> None:
    def program() -> None:
        head = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))
        training = Training()
        training.net = nn.Sequential(nn.Linear(3, 3), head)
        training.optimizer = torch.optim.SGD(training.net.parameters(), lr=0.1)
        for step in range(6):
            head.train(not 2 <= step < 2 + steps)
            training.step(training.held_out)

    found = heard(program).of(StayedInEvaluation)
    assert [(step, said.since) for step, said in found] == told


@pytest.mark.parametrize("frozen", [True, False])
def test_only_what_the_step_moves_is_told_to_be_asleep(*, frozen: bool) -> None:
    def program() -> None:
        head = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))
        training = Training()
        training.net = nn.Sequential(nn.Linear(3, 3), head)
        training.optimizer = torch.optim.SGD(training.net.parameters(), lr=0.1)
        for step in range(6):
            if step == 2:
                head.eval().requires_grad_(not frozen)
            training.step(training.held_out)

    assert bool(heard(program).of(StayedInEvaluation)) is not frozen


def test_normalisation_layers_alone_may_be_put_to_sleep() -> None:
    def program() -> None:
        training = Training()
        for step in range(6):
            if step == 2:
                training.net[1].eval()
            training.step(training.held_out)

    assert not heard(program).of(StayedInEvaluation)


@pytest.mark.parametrize(("after", "statistics"), [(usual, 0), (without_eval, 2)])
def test_statistics_are_compared_from_one_forward_to_the_next(
    after: Callable[[Training], object], statistics: int
) -> None:
    (_, said), *_ = after_each_epoch(after).of(EvaluationCompared)
    assert (said.parameters, said.statistics, said.compared) == (0, statistics, 6)
    assert said.evaluated == STEPS


def test_weights_that_are_swapped_in_and_out_are_no_change() -> None:
    def swapped(training: Training) -> None:
        kept = copy.deepcopy(training.net.state_dict())
        training.net.load_state_dict(training.average.state_dict())
        usual(training)
        training.net.load_state_dict(kept)

    (_, said), *_ = after_each_epoch(swapped).of(EvaluationCompared)
    assert (said.parameters, said.statistics) == (0, 0)


def test_names_of_a_batch_are_kept_and_no_values() -> None:
    def program() -> None:
        training = Training()
        training.run(lambda _: None, epochs=1)
        samples: Any = [{"image": torch.randn(3), "meta": {"pad_shape": (1, 2)}}]
        training.net.eval()
        with torch.no_grad():
            for (sample,) in DataLoader(samples, collate_fn=list):
                training.net(sample["image"][None])

    ((_, said),) = heard(program).of(Evaluated)
    assert said.keys == ("image", "meta", "meta.pad_shape")
    assert said.keys_from == "the batch of a DataLoader"


def test_names_are_found_in_a_variable_where_no_loader_is_used() -> None:
    def program() -> None:
        training = Training()
        training.run(lambda _: None, epochs=1)
        sample = {"image": training.held_out, "scale_factor": 2}
        training.net.eval()
        with torch.no_grad():
            training.net(sample["image"])

    ((_, said),) = heard(program).of(Evaluated)
    assert "sample.scale_factor" in said.keys


def test_nothing_is_left_behind_and_nothing_is_changed() -> None:
    def trained(training: Training) -> dict[str, Tensor]:
        training.run(usual)
        return training.net.state_dict()

    torch.manual_seed(1)
    expected = trained(Training())
    drawn = torch.rand(1)
    torch.manual_seed(1)
    found: dict[str, Tensor] = {}
    heard(lambda: found.update(trained(Training())))
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert torch.equal(torch.rand(1), drawn)
    assert not torch_module._has_any_global_hook()
    assert nn.Module.eval.__module__ == "torch.nn.modules.module"
    assert not hasattr(torch.no_grad.__enter__, "__wrapped__")
