"""DHN: the momentum copy, the ring, and what may stand against a person."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stepscope_systems.rgbt_detection.model.dhn import NegativeQueue, Whereabouts
from stepscope_systems.rgbt_detection.model.macl import Embedded, Projector
from tests.stepscope_systems.rgbt_detection.model.small import apart

pytestmark = pytest.mark.corpus
CHANNELS, DIM = 8, 128


def queue(projector: nn.Module | None = None, **options: Any) -> NegativeQueue:
    settings = {"size": 8, "hardest": 8, "active_from": 0.0} | options
    return NegativeQueue(projector or Projector(CHANNELS, "bn"), **settings)


def keys(people: int) -> Embedded:
    visible, infrared = functional.normalize(torch.randn(2, people, DIM), dim=2)
    return Embedded(visible=visible, infrared=infrared)


def somewhere(identity: int = -1, scene: int = 0, frame: int = 0) -> Whereabouts:
    return Whereabouts(
        identity=torch.tensor([identity]),
        scene=torch.tensor([scene]),
        frame=torch.tensor([frame]),
    )


def filled(ring: NegativeQueue, people: int, first: int = 100) -> Embedded:
    rows = keys(people)
    ring.enqueue(rows, apart(people, first))
    return rows


def moved(projector: nn.Module) -> None:
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.add_(torch.randn_like(parameter))


def copied(ring: NegativeQueue, name: str) -> Tensor:
    tensor = ring.get_buffer("key_" + name.replace(".", "_"))
    assert isinstance(tensor, Tensor)
    return tensor


def test_the_copy_follows_by_the_momentum_formula() -> None:
    projector = Projector(CHANNELS, "bn")
    ring = queue(projector, momentum=0.9)
    filled(ring, 1)
    expected = {name: tensor.detach().clone() for name, tensor in projector.named_parameters()}
    for _ in range(3):
        moved(projector)
        ring.update(projector)
        for name, parameter in projector.named_parameters():
            expected[name] = 0.9 * expected[name] + 0.1 * parameter.detach()
    for name, value in expected.items():
        torch.testing.assert_close(copied(ring, name), value)


def test_with_an_empty_queue_the_copy_is_the_projector_whatever_was_loaded_into_it() -> None:
    projector = Projector(CHANNELS, "bn")
    ring = queue(projector)
    moved(projector)
    ring.update(projector)
    for name, parameter in projector.named_parameters():
        assert torch.equal(copied(ring, name), parameter)


def test_keys_come_from_the_copy_and_carry_no_gradient() -> None:
    projector = Projector(CHANNELS, "none")
    ring = queue(projector)
    features = torch.randn(2, 3, CHANNELS)
    before = functional.normalize(projector(features[0]), dim=1)
    moved(projector)
    found = ring.keys(projector, *features)
    torch.testing.assert_close(found.visible, before.detach())
    assert not found.visible.requires_grad


def test_making_keys_leaves_the_statistics_of_the_projector_alone() -> None:
    projector = Projector(CHANNELS, "bn")
    ring = queue(projector)
    before = {name: tensor.clone() for name, tensor in projector.state_dict().items()}
    ring.keys(projector, *torch.randn(2, 3, CHANNELS))
    assert all(torch.equal(tensor, before[name]) for name, tensor in projector.state_dict().items())
    assert not torch.equal(copied(ring, "1.running_mean"), before["1.running_mean"])


def test_nothing_in_the_queue_is_trained() -> None:
    ring = queue()
    assert list(ring.parameters()) == []
    assert {"rows", "identity", "key_0_weight", "key_1_running_var"} <= dict(
        ring.named_buffers()
    ).keys()


def test_rows_are_laid_over_the_oldest_ones() -> None:
    ring, people, given = queue(size=5), iter(range(100)), list[Tensor]()
    for count in (3, 1, 4, 2, 5):
        rows = keys(count)
        ring.enqueue(rows, apart(count, next(people)))
        given.extend(rows.visible)
        newest = torch.stack(given[-5:])
        held = ring.get_buffer("rows")[0][: ring.filled]
        order = [int((held == row).all(1).nonzero()) for row in newest]
        assert sorted(order) == list(range(min(5, len(given))))
        assert ring.pointer == len(given) % 5
    assert ring.filled == 5


def test_more_rows_than_there_is_room_leave_the_last_ones() -> None:
    ring, rows = queue(size=4), keys(7)
    ring.enqueue(rows, apart(7))
    assert ring.filled == 4
    assert sorted(ring.get_buffer("identity").tolist()) == [3, 4, 5, 6]
    held = {tuple(row.tolist()) for row in ring.get_buffer("rows")[1]}
    assert held == {tuple(row.tolist()) for row in rows.infrared[3:]}


def test_a_queue_survives_its_checkpoint() -> None:
    projector = Projector(CHANNELS, "bn")
    ring, other = queue(projector), queue(projector)
    filled(ring, 3)
    filled(ring, 6)
    other.load_state_dict(ring.state_dict())
    assert (other.pointer, other.filled) == (ring.pointer, ring.filled) == (1, 8)
    queries, own, where = keys(2), keys(2), apart(2)
    temperature = torch.tensor(0.1)
    assert torch.equal(
        other.loss(queries, own, where, temperature), ring.loss(queries, own, where, temperature)
    )


@pytest.mark.parametrize(("people", "is_active"), [(3, False), (4, True)])
def test_the_queue_is_active_from_the_share_on_that_it_takes(
    *, people: int, is_active: bool
) -> None:
    ring = queue(size=16, active_from=0.25)
    filled(ring, people)
    assert ring.is_active is is_active


@pytest.mark.parametrize(("filled_rows", "expected"), [(1, 1), (32, 4), (128, 16), (256, 16)])
def test_more_of_the_hardest_rows_count_as_the_queue_fills(filled_rows: int, expected: int) -> None:
    ring = queue(size=128, hardest=16)
    filled(ring, filled_rows)
    assert ring.candidates == expected


def naive(query: Tensor, own: Tensor, others: list[Tensor], temperature: float, most: int) -> float:
    scores = sorted((float(query @ row) for row in others), reverse=True)[:most]
    wrong = sum(math.exp(score / temperature) for score in scores)
    right = math.exp(float(query @ own) / temperature)
    return -math.log(right / (right + wrong))


@pytest.mark.parametrize("hardest", [2, 6])
def test_the_loss_equals_a_naive_loop_over_rows_of_the_other_modality(hardest: int) -> None:
    ring = queue(size=6, hardest=hardest, near=25)
    rows = filled(ring, 6)  # who they are: 100 to 105
    queries, own = keys(3), keys(3)
    where = Whereabouts(
        identity=torch.tensor([100, 7, -1]),
        scene=torch.tensor([900, 101, 901]),
        frame=torch.tensor([0, 25, 0]),
    )
    allowed = [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
    expected = 0.0
    for person in range(3):
        for mine, key, held in (
            (queries.visible, own.infrared, rows.infrared),
            (queries.infrared, own.visible, rows.visible),
        ):
            others = [held[each] for each in allowed[person]]
            expected += naive(mine[person], key[person], others, 0.2, hardest) / 6
    found = ring.loss(queries, own, where, torch.tensor(0.2))
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("where", "is_excluded"),
    [
        (somewhere(identity=5, scene=1, frame=900), True),
        (somewhere(identity=6, scene=1, frame=900), False),
        (somewhere(identity=-1, scene=0, frame=35), True),
        (somewhere(identity=-1, scene=0, frame=36), False),
        (somewhere(identity=-1, scene=0, frame=-15), True),
        (somewhere(identity=-1, scene=0, frame=-16), False),
        (somewhere(identity=-1, scene=1, frame=10), False),
    ],
)
def test_a_row_of_the_same_person_or_of_a_near_frame_is_no_negative(
    *, where: Whereabouts, is_excluded: bool
) -> None:
    ring = queue(near=25)
    ring.enqueue(keys(1), somewhere(identity=5, scene=0, frame=10))
    loss = ring.loss(keys(1), keys(1), where, torch.tensor(0.5))
    assert (loss.item() == 0) is is_excluded


def test_two_rows_of_unknown_people_may_be_different_people() -> None:
    ring = queue()
    ring.enqueue(keys(1), somewhere(identity=-1, scene=3))
    assert ring.loss(keys(1), keys(1), somewhere(identity=-1, scene=4), torch.tensor(0.5)) > 0


@pytest.mark.parametrize("temperature", [0.01, 0.07])
def test_gradients_are_finite_where_every_row_is_excluded(temperature: float) -> None:
    ring = queue()
    ring.enqueue(
        keys(2),
        Whereabouts(
            **{name: torch.zeros(2, dtype=torch.int64) for name in ("identity", "scene", "frame")}
        ),
    )
    tau = torch.tensor(temperature, requires_grad=True)
    query = keys(1)
    visible = query.visible.clone().requires_grad_()
    queries = Embedded(visible=visible, infrared=query.infrared)
    loss = ring.loss(queries, keys(1), somewhere(identity=0), tau)
    loss.backward()
    assert loss.item() == 0
    for tensor in (visible, tau):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


def test_a_loss_can_be_differentiated_after_its_rows_were_overwritten() -> None:
    ring = queue(size=4)
    filled(ring, 4)
    query = keys(2)
    visible = query.visible.clone().requires_grad_()
    queries, own, where = Embedded(visible=visible, infrared=query.infrared), keys(2), apart(2)
    temperature = torch.tensor(0.2)
    expected = torch.autograd.grad(ring.loss(queries, own, where, temperature), visible)[0]
    loss = ring.loss(queries, own, where, temperature)
    filled(ring, 4)
    assert torch.equal(torch.autograd.grad(loss, visible)[0], expected)
