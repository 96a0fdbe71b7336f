"""What a watched run keeps does not grow with its steps, nor a step's work with its optimizers."""

import gc

import torch

from stepscope.catalogue import every_rule
from stepscope.core import Status
from stepscope.watching.watched import Watched
from tests.watching.conftest import Kept, Loop


def kept_after(loop: Loop, steps: int) -> int:
    loop.step(steps)
    loop.losses.clear()
    gc.collect()
    return len(gc.get_objects())


def test_what_is_kept_does_not_grow_with_the_steps() -> None:
    loop = Loop()
    with Watched("train.py", rules=[]) as watched:
        early = kept_after(loop, 500)
        late = kept_after(loop, 3000)
    assert watched.faults == []
    assert watched.step == 3500
    assert late - early < 500  # objects; 3000 steps that were kept would be more


def test_a_program_that_computes_gradients_and_never_steps_is_kept_no_more_of() -> None:
    model = torch.nn.Linear(2, 2)

    def by_hand(steps: int) -> int:
        for _ in range(steps):
            model(torch.ones(1, 2)).sum().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(parameter.grad, alpha=0.01)  # type: ignore[arg-type]
                    parameter.grad = None
        gc.collect()
        return len(gc.get_objects())

    with Watched("train.py", rules=[], keeper=Kept()) as watched:
        early = by_hand(100)
        late = by_hand(600)
    assert watched.step == 0
    assert late - early < 300


def test_optimizers_that_are_made_for_each_batch_are_kept_no_more_of() -> None:
    model = torch.nn.Linear(2, 2)

    def inner(steps: int) -> int:
        for _ in range(steps):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            del optimizer
        gc.collect()
        return len(gc.get_objects())

    with Watched("train.py", rules=[]) as watched:
        early = inner(200)
        late = inner(1500)
    assert watched.step == 1700
    assert late - early < 1000


def test_a_model_of_ten_thousand_modules_is_watched_and_judged() -> None:
    def block() -> torch.nn.Sequential:
        return torch.nn.Sequential(torch.nn.Linear(2, 2), *(torch.nn.Identity() for _ in range(98)))

    model = torch.nn.Sequential(*(block() for _ in range(100)))
    assert len(list(model.modules())) == 10_001
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    kept = Kept()
    with Watched("train.py", rules=every_rule(), keeper=kept) as watched:
        for _ in range(22):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    assert (watched.step, watched.faults, watched.windows_judged) == (22, [], 1)
    numbers = [sum(map(len, line.numbers.values())) for line in kept.lines]
    assert max(numbers) < 500  # of a line: it names parts of the model, not all its modules
    assert not any(outcome.status is Status.CRASHED for outcome in watched.outcomes())
