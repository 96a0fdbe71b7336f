"""What must not move is found out when it does, and only then."""

import copy
from collections.abc import Callable

import torch

from stepscope.evidence.course.followers import Followed
from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.movements import Moved
from stepscope.probes.course.fingerprints import FingerprintSampler
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.fingerprints import digests, fingerprints

STEPS = 12  # looks are after steps 0, 1, 2 and 10


def train(at: dict[int, Callable[[torch.nn.Sequential], object]]) -> list[Happening]:
    """Train the last layer for a while; what `at` names is done before the forward of its step."""
    lines: list[Line] = []
    body = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(body.requires_grad_(False).eval(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    with Pulse([FingerprintSampler], line=lines.append, every=1):
        for step in range(STEPS):
            at.get(step, lambda _: None)(model)
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().sum().backward()
            optimizer.step()
    return [each for line in lines for each in line.happened]


def test_digests_are_the_fingerprints() -> None:
    tensors = [torch.randn(n)[k:] for n in (1, 3, 251, 1000, 5000) for k in (0, 1)]
    tensors += [torch.randn(40, 30).T, torch.arange(7), torch.randn(300).bfloat16()]
    assert [int(each) for each in digests(tensors)] == fingerprints(tensors)


def test_nothing_is_said_of_what_stays() -> None:
    assert train({}) == []


def test_a_write_into_a_frozen_weight_is_dated_between_two_looks() -> None:
    found = train({5: lambda model: model[0][0].weight.data.mul_(1 + 2**-20)})
    assert found == [Moved(parameters=("0.0.weight",), since=3, until=11)]


def test_statistics_of_a_frozen_layer_that_is_put_back_to_training_are_found() -> None:
    (found,) = train({5: lambda model: model.train()})
    assert isinstance(found, Moved)
    assert found.statistics == ("0.1.running_mean", "0.1.running_var")
    assert (found.parameters, found.since, found.until) == ((), 3, 11)


def test_what_moves_from_the_beginning_follows_something() -> None:
    def push(model: torch.nn.Sequential) -> None:
        model[0][0].weight.data.mul_(0.9)

    assert train(dict.fromkeys(range(STEPS), push)) == [
        Followed(parameters=("0.0.weight",), until=2)
    ]


def test_a_load_between_two_looks_excuses_what_it_changed() -> None:
    other = torch.nn.Linear(4, 4).state_dict()
    assert train({5: lambda model: model[0][0].load_state_dict(other)}) == []


def test_a_weight_that_changes_its_dtype_has_not_moved() -> None:
    def double(model: torch.nn.Sequential) -> None:
        model[0][0].weight.data = model[0][0].weight.data.bfloat16()
        model[0][0].weight.data = model[0][0].weight.data.float().t().contiguous().t()

    assert train({5: double}) == []


def test_what_an_optimizer_holds_is_not_looked_at() -> None:
    lines: list[Line] = []
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model.weight.requires_grad_(False)
    frozen = copy.deepcopy(model).requires_grad_(False)
    with Pulse([FingerprintSampler], line=lines.append, every=1):
        for _ in range(STEPS):
            model.weight.grad = torch.zeros_like(model.weight)
            (model(torch.ones(2, 4)) + frozen(torch.ones(2, 4))).sum().backward()
            optimizer.step()
    assert [each for line in lines for each in line.happened] == []
    assert {line.numbers["frozen"]["parameters"] for line in lines} == {2}
