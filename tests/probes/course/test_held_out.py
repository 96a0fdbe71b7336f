"""The first batch of each pass of an evaluation is kept as numbers, and no other batch is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from stepscope.evidence.course.held_out import HeldOutPass
from stepscope.evidence.course.line import Line
from stepscope.probes.course.batch_leaves import leaves, marks
from stepscope.probes.course.evaluations import EvaluationSampler
from stepscope.probes.course.pulse import Pulse

IMAGES, LABELS = torch.randn(6, 3), torch.arange(6)


def held_out(images: Tensor = IMAGES, **options: Any) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(images, LABELS), batch_size=4, **options)


def passes(evaluate: Callable[[nn.Module], object], epochs: int = 2) -> list[HeldOutPass]:
    """Return what is told of the evaluations after epochs of two steps."""
    lines: list[Line] = []
    pulse = Pulse([EvaluationSampler], line=lines.append, every=1000)
    with pulse:
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        train = DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2)
        for _ in range(epochs):
            for (batch,) in train:
                optimizer.zero_grad()
                net(batch).square().mean().backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                evaluate(net)
            net.train()
    assert not pulse.run.faults
    return [each for line in lines for each in line.happened if isinstance(each, HeldOutPass)]


def over(*loaders: DataLoader[Any]) -> Callable[[nn.Module], object]:
    return lambda net: [net(batch[0]) for loader in loaders for batch in loader]


def test_a_pass_is_told_once_for_each_evaluation() -> None:
    first, second = passes(over(held_out()))
    assert (first.evaluated, second.evaluated) == (2, 4)
    assert (first.kind, first.size, first.batch_size, first.in_order) == (
        "TensorDataset",
        6,
        4,
        True,
    )
    assert first.marks.keys() == {"0"}
    assert first.whole_marks.keys() == {"1"}
    assert (first.data, first.marks, first.whole_marks) == (
        second.data,
        second.marks,
        second.whole_marks,
    )


def test_other_data_has_another_number_and_other_marks() -> None:
    first, second, *_ = passes(over(held_out(), held_out(IMAGES + 1)))
    assert first.data != second.data
    assert first.marks != second.marks
    assert first.whole_marks == second.whole_marks


def test_passes_over_the_same_data_in_one_evaluation_are_counted() -> None:
    loader = held_out()
    assert [each.order for each in passes(over(loader, loader))] == [0, 1, 0, 1]


def test_a_loader_that_shuffles_gives_no_order() -> None:
    assert not any(each.in_order for each in passes(over(held_out(shuffle=True))))


def test_a_data_set_that_cannot_be_known_again_is_left_alone() -> None:
    as_list: Any = list(IMAGES)
    assert not passes(lambda net: [net(batch) for batch in DataLoader(as_list, batch_size=3)])


def test_training_batches_are_not_kept() -> None:
    assert not passes(lambda _: None)


def test_leaves_are_found_by_their_paths() -> None:
    batch = {"image": torch.ones(2), "meta": {"size": [torch.ones(1), "text"]}}
    assert list(leaves(batch)) == ["image", "meta.size.0"]
    assert list(leaves(torch.ones(2))) == ["batch"]
    assert list(leaves((1, torch.ones(2)))) == ["1"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.bool])
def test_marks_are_equal_where_bits_are(dtype: torch.dtype) -> None:
    values = torch.arange(5000).remainder(2).to(dtype)
    other = values.clone()
    other[0] = 1
    same, changed = (float(marks({"x": each})["x"]) for each in (values.clone(), other))
    assert float(marks({"x": values})["x"]) == same
    assert same != changed


def test_marks_do_not_depend_on_how_a_tensor_lies_in_memory() -> None:
    images = torch.randn(4, 3, 32, 48)
    turned = images.contiguous(memory_format=torch.channels_last)
    sliced = torch.stack([images, images + 1], dim=-1)[..., 0]
    found = {float(marks({"x": each})["x"]) for each in (images, turned, sliced)}
    assert len(found) == 1


def test_a_subset_is_called_by_what_it_is_taken_of() -> None:
    loader: DataLoader[Any] = DataLoader(Subset(held_out().dataset, range(4)), batch_size=2)
    first, _ = passes(over(loader))
    assert (first.kind, first.size) == ("Subset of TensorDataset", 4)
