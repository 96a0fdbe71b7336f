"""A checkpoint on test pairs, beside the same weights with less to go by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stepscope_systems.rgbt_detection.checkpoints import Trained, read_trained
from stepscope_systems.rgbt_detection.data.dataset import PairedDataset
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.stages import lists_of
from stepscope_systems.rgbt_detection.evaluation import Evaluation, evaluate
from stepscope_systems.rgbt_detection.metrics.alignment import Alignment
from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from tests.stepscope_systems.rgbt_detection.tiny_runs import logged

pytestmark = pytest.mark.corpus
METHODS = ("full without infrared", "full without visible", "full without gates")


@pytest.fixture(scope="module")
def trained(stage1: Path) -> Trained:
    return read_trained(stage1 / "best.ckpt")


@pytest.fixture(scope="module")
def pairs(trained: Trained, stage1: Path) -> PairList:
    return lists_of(trained.config.data, "stage1", stage1.parent / "data").validation


@pytest.fixture(scope="module")
def evaluation(trained: Trained, pairs: PairList) -> Evaluation:
    return evaluate(trained, pairs, methods=METHODS)


def blinded(trained: Trained, modality: str) -> Trained:
    data = replace(trained.config.data, missing=modality)  # type: ignore[arg-type]
    return replace(trained, config=replace(trained.config, data=data))


def same(first: Evaluation, second: Evaluation, method: str) -> bool:
    return all(
        np.array_equal(one.detected, other.detected) and np.array_equal(one.scores, other.scores)
        for one, other in zip(first.results[method], second.results[method], strict=True)
    )


def test_a_checkpoint_is_worth_on_its_validation_pairs_what_its_run_logged(
    evaluation: Evaluation, stage1: Path
) -> None:
    best = max(row["validation/ap"] for row in logged(stage1) if "validation/ap" in row)

    assert average_precision(evaluation.results["full"]).ap == pytest.approx(best, rel=1e-5)


def test_each_pair_is_judged_once_by_each_method(evaluation: Evaluation, pairs: PairList) -> None:
    names = [pair.name for pair in pairs.pairs]

    assert tuple(evaluation.results) == ("full", *METHODS)
    for results in evaluation.results.values():
        assert [each.name for each in results] == names


@pytest.mark.parametrize(
    ("method", "blind"),
    [("full without infrared", "infrared"), ("full without visible", "visible")],
)
def test_a_method_of_one_modality_does_not_see_the_other(
    method: str, blind: str, trained: Trained, pairs: PairList, evaluation: Evaluation
) -> None:
    without = evaluate(blinded(trained, blind), pairs, methods=[method])

    assert same(without, evaluation, method)
    assert not same(without, evaluation, "full")


def test_without_gates_it_is_the_full_model_whose_gates_are_one(
    trained: Trained, pairs: PairList, evaluation: Evaluation
) -> None:
    assert not same(replace_full(evaluation, "full without gates"), evaluation, "full")
    detector = read_trained(trained.checkpoint).detector
    assert detector.msp is not None
    for part in (detector.msp.average, detector.msp.maximum):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)

    opened = evaluate(replace(trained, detector=detector), pairs)

    assert same(opened, replace_full(evaluation, "full without gates"), "full")


def replace_full(evaluation: Evaluation, method: str) -> Evaluation:
    return replace(evaluation, results={"full": evaluation.results[method]})


def test_everybody_is_embedded_once_with_their_own_boxes(
    evaluation: Evaluation, trained: Trained, pairs: PairList
) -> None:
    found = evaluation.embeddings
    assert found is not None
    dataset = PairedDataset(pairs)
    people = [
        (sample["name"], visible.numpy(), infrared.numpy(), sample["condition"])
        for sample in (dataset[index] for index in range(len(dataset)))
        for visible, infrared in zip(sample["boxes_visible"], sample["boxes_infrared"], strict=True)
    ]

    assert len(found.visible) == len(found.infrared) == len(found.boxes) == len(people)
    assert found.conditions == tuple(condition for *_, condition in people)
    for (name, visible, infrared), person in zip(found.boxes, people, strict=True):
        assert name == person[0]
        assert np.array_equal(visible, person[1])
        assert np.array_equal(infrared, person[2])
    assert np.linalg.norm(found.visible, axis=1) == pytest.approx(1)


def test_the_agreement_of_modalities_is_measured_from_thirty_people_on(
    evaluation: Evaluation, trained: Trained, tmp_path: Path
) -> None:
    assert isinstance(evaluation.alignment, str)
    assert "expected at least 30" in evaluation.alignment
    data = replace(trained.config.data, train_pairs=72, validation_share=0.8)

    many = evaluate(trained, lists_of(data, "stage1", tmp_path).validation)

    assert isinstance(many.alignment, Alignment)


def test_a_method_of_another_name_is_refused(trained: Trained, pairs: PairList) -> None:
    with pytest.raises(ValueError, match="no method 'visible'; expected one of full without infra"):
        evaluate(trained, pairs, methods=["visible"])
