"""What the standard losses are given is read as it is, and nothing more is touched."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope.evidence.losses import LossCall, LossCalls, Similarities, Similarity
from stepscope.probes.loss_calls import LossCallsProbe
from stepscope.probes.observation import Observation


def observed(loss: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> Observation:
    """Take one step on a loss of `rows`, which stand in for the output of a model."""
    weight = nn.Parameter(rows.clone())
    optimizer = torch.optim.SGD([weight], lr=0.1)
    observation = Observation([LossCallsProbe], steps=10)
    with observation:
        loss(weight).backward()
        optimizer.step()
    assert not observation.run.faults
    return observation


def only_call(observation: Observation) -> LossCall:
    (calls,) = (each for each in observation.evidence if isinstance(each, LossCalls))
    (call,) = calls.calls
    return call


def only_similarity(observation: Observation) -> Similarity:
    (found,) = (each for each in observation.evidence if isinstance(each, Similarities))
    (similarity,) = found.similarities
    return similarity


def test_a_loss_over_classes_is_described_by_its_logits_and_targets() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    targets = torch.tensor([0, 0, 2, -100])
    call = only_call(observed(lambda x: functional.cross_entropy(x, targets), logits))
    kept = [0, 1, 2]
    oracle = -sum(logits[i].log_softmax(0)[targets[i]].item() for i in kept) / 3
    assert call.value == pytest.approx(oracle, rel=1e-6)
    assert (call.rows, call.candidates) == (4, 3)
    assert (call.lowest, call.highest) == (-2.0, 3.0)
    assert call.ignored == 0.25
    assert call.majority == pytest.approx(2 / 3)
    assert not call.sums_to_one
    assert call.reaches_backward


def test_a_module_of_torch_is_one_call_at_the_line_of_the_program() -> None:
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    call = only_call(observed(lambda x: criterion(x, torch.tensor([0])), torch.zeros(1, 2)))
    assert call.at.file == __file__
    assert call.label_smoothing == 0.1


def test_masked_columns_do_not_compete() -> None:
    logits = torch.tensor([[1.0, 2.0, -math.inf, 0.0]] * 3)
    call = only_call(
        observed(lambda x: functional.cross_entropy(x, torch.tensor([0, 1, 3])), logits)
    )
    assert call.candidates == 3
    assert call.lowest == 0.0


def test_dense_predictions_count_their_pixels() -> None:
    targets = torch.randint(5, (2, 30, 40))
    call = only_call(
        observed(lambda x: functional.cross_entropy(x, targets), torch.randn(2, 5, 30, 40))
    )
    assert (call.rows, call.candidates) == (2400, 5)


@pytest.mark.parametrize("shift", [0.0, 2e-3])
def test_rows_that_sum_to_one_are_told_from_those_that_nearly_do(shift: float) -> None:
    rows = torch.randn(6, 4).softmax(-1) + shift / 4
    call = only_call(observed(lambda x: functional.cross_entropy(x, torch.arange(6) % 4), rows))
    assert call.sums_to_one is (shift == 0.0)


def test_the_operation_before_the_loss_is_named() -> None:
    labels = torch.tensor([0, 1])
    twice = observed(
        lambda x: functional.cross_entropy(x.softmax(-1).view(2, 2), labels), torch.eye(2)
    )
    assert only_call(twice).produced_by == "softmax"


def test_a_loss_that_no_backward_reaches_says_so() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        functional.mse_loss(x, torch.zeros(3))
        return x.sum()

    assert not only_call(observed(loss, torch.ones(3))).reaches_backward


def test_a_loss_without_gradient_is_not_recorded() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            functional.mse_loss(x, torch.zeros(3))
        functional.mse_loss(x.detach(), torch.zeros(3))
        return x.sum()

    observation = observed(loss, torch.ones(3))
    assert not [each for each in observation.evidence if isinstance(each, LossCalls)]


@pytest.mark.parametrize("where", ["before the product", "after the product", "as a temperature"])
def test_the_scale_of_cosines_is_found(where: str) -> None:
    rows = functional.normalize(torch.randn(4, 8), dim=-1)
    texts = functional.normalize(torch.randn(4, 8), dim=-1)
    log_scale = nn.Parameter(torch.tensor(math.log(20)))

    def loss(x: torch.Tensor) -> torch.Tensor:
        scale, x = log_scale.exp(), functional.normalize(x, dim=-1)
        logits = {
            "before the product": lambda: scale * x @ texts.T,
            "after the product": lambda: (x @ texts.T) * scale,
            "as a temperature": lambda: x @ texts.T / 0.05,
        }[where]()
        return functional.cross_entropy(logits, torch.arange(4))

    found = only_similarity(observed(loss, rows))
    assert found.scale == pytest.approx(20, rel=1e-4)
    assert (found.shortest, found.longest) == pytest.approx((1, 1), abs=1e-5)
    assert found.exponential is (where != "as a temperature")
    assert found.diagonal


def test_a_classifier_is_no_similarity() -> None:
    model, x = nn.Linear(8, 4, bias=False), torch.randn(4, 8)
    observation = observed(
        lambda w: functional.cross_entropy(model(x) * w, torch.arange(4)), torch.ones(1)
    )
    assert not [each for each in observation.evidence if isinstance(each, Similarities)]


def test_the_functions_are_put_back() -> None:
    before = functional.cross_entropy
    observed(lambda x: functional.cross_entropy(x, torch.tensor([0])), torch.zeros(1, 2))
    assert functional.cross_entropy is before


def test_rows_are_counted_in_which_another_column_holds_the_logit_of_the_target() -> None:
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 3, 4, 5])
    for row in (1, 4):
        logits[row, 8] = logits[row, targets[row]]
    logits[2, 7] = logits[2, 8]  # two negatives that are alike
    oracle = sum(logits[i].tolist().count(logits[i, t]) > 1 for i, t in enumerate(targets)) / 6
    call = only_call(observed(lambda x: functional.cross_entropy(x, targets), logits))
    assert call.repeated == pytest.approx(oracle) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("distance", "repeated"), [(0.9e-5, 1.0), (1.1e-5, 0.0)])
def test_logits_are_alike_within_a_hundred_thousandth_of_their_range(
    distance: float, repeated: float
) -> None:
    logits = torch.tensor([[0.0, 1.0, 0.25, 0.5, distance]])
    targets = torch.tensor([0])
    assert only_call(
        observed(lambda x: functional.cross_entropy(x, targets), logits)
    ).repeated == pytest.approx(repeated)


def test_rows_and_their_targets_are_sampled_together() -> None:
    logits = torch.randn(700, 5, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(0, 5, (700, 3), generator=torch.Generator().manual_seed(1))
    other = (targets + 1) % 5
    logits.scatter_(1, other[:, None], logits.gather(1, targets[:, None]))
    call = only_call(observed(lambda x: functional.cross_entropy(x, targets), logits))
    assert call.repeated == 1.0
