"""Which contrastive terms a step has, and why it lacks others."""

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from stepscope_systems.rgbt_detection.config import ModelConfig
from stepscope_systems.rgbt_detection.model.alignment import Alignment, Contrast
from stepscope_systems.rgbt_detection.model.macl import Embedded
from tests.stepscope_systems.rgbt_detection.model.small import SMALL, apart

pytestmark = pytest.mark.corpus


def alignment(**options: Any) -> Alignment:
    return Alignment(dataclasses.replace(SMALL, **options))


def people(count: int) -> tuple[Tensor, Tensor]:
    visible, infrared = torch.randn(2, count, SMALL.channels)
    return visible, infrared


def test_two_people_have_a_macl_and_a_domain_term() -> None:
    contrast = alignment(domain=True)(*people(2), apart(2))
    assert contrast.terms.keys() == {"loss_macl", "loss_domain"}
    assert contrast.inactive == {"loss_dhn": "the queue is 0% full; it takes 25%"}
    assert contrast.people == 2


def test_one_person_raises_nothing_and_is_told_as_inactive() -> None:
    contrast = alignment(domain=True)(*people(1), apart(1))
    assert contrast.terms == {}
    assert contrast.inactive["loss_macl"] == "1 people in the batch; it takes two"
    assert contrast.inactive["loss_domain"] == "1 people in the batch; it takes two"
    assert contrast.people == 1


def test_nobody_moves_no_statistic_and_is_told_as_inactive() -> None:
    module = alignment(domain=True)
    before = {
        name: value.clone()
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }
    contrast = module(*people(0), apart(0))
    assert contrast.terms == {}
    assert contrast.inactive == dict.fromkeys(
        ("loss_macl", "loss_domain", "loss_dhn"), "nobody in the batch"
    )
    assert len(contrast.embedded.visible) == 0
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_queue_serves_once_a_quarter_of_it_is_filled() -> None:
    module = alignment(queue=16)
    found = [module(*people(2), apart(2, 10 * step)) for step in range(3)]
    assert [each.fill for each in found] == [0, 2 / 16, 4 / 16]
    assert [set(each.terms) for each in found] == [
        {"loss_macl"},
        {"loss_macl"},
        {"loss_macl", "loss_dhn"},
    ]


def test_with_the_queue_one_person_has_a_term() -> None:
    module = alignment(queue=4)
    module(*people(2), apart(2))
    assert module(*people(1), apart(1, 50)).terms.keys() == {"loss_dhn"}


def test_nobody_is_among_their_own_negatives() -> None:
    # Nothing is known of anybody, so only the order of use and entry keeps the own rows out.
    module = alignment(queue=8, macl_norm="none", near_frames=0)
    visible, infrared = people(2)
    module(visible, infrared, apart(2))
    assert module.dhn is not None
    held = module.dhn.get_buffer("rows").clone()
    strangers = people(2)
    where = apart(2, 50)
    keys = module.dhn.keys(module.macl.projector, *strangers)
    expected = module.dhn.loss(
        module.macl(*strangers), keys, where, module.macl.temperature
    ).detach()
    contrast = module(*strangers, where)
    torch.testing.assert_close(contrast.terms["loss_dhn"].detach(), expected)
    assert torch.equal(module.dhn.get_buffer("rows")[:, :2], held[:, :2])
    torch.testing.assert_close(module.dhn.get_buffer("rows")[0, 2:4], keys.visible)


def test_without_macl_only_the_domain_term_is_there() -> None:
    contrast = alignment(macl=False, dhn=False, domain=True)(*people(3), apart(3))
    assert (contrast.terms.keys(), contrast.inactive) == ({"loss_domain"}, {})


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_takes_no_digit_from_the_terms(half: torch.dtype) -> None:
    first, second = alignment(queue=4, domain=True), alignment(queue=4, domain=True)
    second.load_state_dict(first.state_dict())
    for step in range(2):  # the queue serves from the second on
        features, where = people(3), apart(3, 10 * step)
        with torch.autocast("cpu", dtype=half):
            fast = first(*features, where)
        exact = second(*features, where)
        assert fast.terms.keys() == exact.terms.keys()
        for name, term in fast.terms.items():
            assert torch.equal(term, exact.terms[name]), name
    torch.stack(list(fast.terms.values())).sum().backward()
    assert first.macl.tau.grad is not None
    assert torch.isfinite(first.macl.tau.grad)


def contrast_of(visible: Tensor, infrared: Tensor) -> Contrast:
    rows = Embedded(visible=visible, infrared=infrared)
    return Contrast(terms={}, inactive={}, people=len(visible), embedded=rows, fill=0.0)


def test_retrieval_counts_both_directions() -> None:
    one, other = torch.eye(2)
    third = torch.tensor([0.6, 0.8])
    contrast = contrast_of(torch.stack([one, other, third]), torch.stack([one, one, other]))
    # Visible: 0 finds 0 (the first of two), 1 and 2 find 2. Infrared: 0 and 1 find 0, 2 finds 1.
    assert contrast.recall_at_1().item() == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_cosines_are_those_of_own_and_of_other_pairs() -> None:
    visible, infrared = torch.nn.functional.normalize(torch.randn(2, 4, 8), dim=2)
    table = [[float(x @ y) for y in infrared] for x in visible]
    own = [table[i][i] for i in range(4)]
    others = [table[i][j] for i in range(4) for j in range(4) if i != j]
    positive, negative = contrast_of(visible, infrared).cosines()
    assert positive.item() == pytest.approx(sum(own) / 4, abs=1e-6)
    assert negative.item() == pytest.approx(sum(others) / 12, abs=1e-6)


def _on_a_rank(rank: int, folder: Path, counts: tuple[int, ...], config: ModelConfig) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=len(counts)
    )
    torch.manual_seed(0)
    module = Alignment(config)
    for step, shift in enumerate((0, 1)):
        count = counts[(rank + shift) % len(counts)]
        module(*people(count), apart(count, 100 * step + 10 * rank))
    assert module.dhn is not None
    torch.save((module.dhn.get_buffer("identity"), module.dhn.filled), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_ranks_hold_the_same_queue_though_one_of_them_sees_nobody(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=_on_a_rank, args=(rank, tmp_path, (3, 0), SMALL))
        for rank in range(2)
    ]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(timeout=60)
    assert [each.exitcode for each in ranks] == [0, 0]
    held = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for identity, filled in held:
        assert filled == 6
        assert identity[:6].tolist() == [0, 1, 2, 110, 111, 112]
