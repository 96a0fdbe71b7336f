"""The detector trains and detects, on every kind of batch that data can bring."""

import copy

import pytest
import torch
from torch import Tensor, nn

from stepscope_systems.rgbt_detection.model import Detector
from stepscope_systems.rgbt_detection.model.fusion import Fusion
from tests.stepscope_systems.rgbt_detection.model.small import (
    HEIGHT,
    TWO_PEOPLE,
    WIDTH,
    detector,
    images,
    target,
    trained_on,
)

pytestmark = pytest.mark.corpus
DETECTION = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}


@pytest.fixture(scope="module")
def model() -> Detector:
    torch.manual_seed(0)
    return detector().eval()


def detected(
    model: Detector, visible: list[Tensor], infrared: list[Tensor]
) -> list[dict[str, Tensor]]:
    with torch.no_grad():
        found = model.eval()(visible, infrared)
    assert isinstance(found, list)
    return found


def has_gradient(module: nn.Module | None) -> bool:
    assert module is not None
    return all(
        each.grad is not None and bool(torch.isfinite(each.grad).all())
        for each in module.parameters()
    )


def test_a_step_has_every_term_and_every_part_a_finite_gradient() -> None:
    model = detector()
    targets = [target(*TWO_PEOPLE, scene=1), target(TWO_PEOPLE[0], identities=(7,), scene=2)]
    losses = trained_on(model, images(2), images(2), targets)
    assert losses.terms.keys() == {*DETECTION, "loss_macl"}
    assert all(has_gradient(part) for _, part in model.named_children())
    assert losses.contrast is not None
    assert losses.contrast.people == 3


def test_a_batch_without_anybody_still_teaches_what_is_background() -> None:
    model = detector()
    losses = trained_on(model, images(2), images(2), [target(), target()])
    assert losses.terms.keys() == DETECTION
    assert losses.terms["loss_objectness"] > 0
    assert losses.terms["loss_classifier"] > 0
    assert has_gradient(model.body)


def test_one_pair_with_one_person_trains() -> None:
    losses = trained_on(detector(), images(1), images(1), [target(TWO_PEOPLE[0])])
    assert losses.terms.keys() == DETECTION
    assert losses.contrast is not None
    assert "loss_macl" in losses.contrast.inactive


def test_pairs_of_different_sizes_share_a_batch() -> None:
    visible, infrared = images(1) + images(1, 40, 60), images(1) + images(1, 40, 60)
    losses = trained_on(detector(), visible, infrared, [target(*TWO_PEOPLE)] * 2)
    assert all(torch.isfinite(term) for term in losses.terms.values())


def test_a_pair_of_unequal_sizes_is_refused(model: Detector) -> None:
    with pytest.raises(ValueError, match=r"\(3, 48, 64\) and its infrared one of \(3, 48, 62\)"):
        model(images(1), images(1, HEIGHT, WIDTH - 2))


def test_a_missing_image_is_refused(model: Detector) -> None:
    with pytest.raises(ValueError, match="2 visible images and 1 infrared ones; expected pairs"):
        model(images(2), images(1))


def test_training_without_targets_is_refused() -> None:
    with pytest.raises(ValueError, match="targets should not be None"):
        detector().train()(images(1), images(1))


@pytest.mark.parametrize(("fusion", "blind"), [("visible", 1), ("infrared", 0)])
def test_one_modality_alone_ignores_the_other(model: Detector, fusion: Fusion, blind: int) -> None:
    alone = detector(fusion=fusion)
    alone.load_state_dict(model.state_dict())
    first, second = [images(1), images(1)], images(1)
    changed = [second if each == blind else given for each, given in enumerate(first)]
    same, other = detected(alone, *first), detected(alone, *changed)
    assert torch.equal(same[0]["boxes"], other[0]["boxes"])
    assert torch.equal(same[0]["scores"], other[0]["scores"])
    assert not torch.equal(
        detected(model, *first)[0]["scores"], detected(model, *changed)[0]["scores"]
    )


def test_detections_are_in_the_image_and_of_the_one_class(model: Detector) -> None:
    for found in detected(model, images(2), images(2)):
        assert 0 < len(found["boxes"]) <= 10
        assert set(found["labels"].tolist()) == {1}
        assert (found["boxes"] >= 0).all()
        assert (found["boxes"] <= torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])).all()


def enlarged(images: list[Tensor]) -> list[Tensor]:
    """Make each pixel 3x3, of which bilinear resizing takes back the middle one."""
    return [each.repeat_interleave(3, 1).repeat_interleave(3, 2) for each in images]


def test_detections_map_back_to_the_pixels_of_the_image_given(model: Detector) -> None:
    visible, infrared = images(2), images(2)
    small = detected(model, visible, infrared)
    large = detected(model, enlarged(visible), enlarged(infrared))
    for one, other in zip(small, large, strict=True):
        torch.testing.assert_close(other["boxes"], 3 * one["boxes"])
        torch.testing.assert_close(other["scores"], one["scores"])


def test_a_body_that_keeps_its_statistics_keeps_them_in_training() -> None:
    model = detector(norm_eval=True)
    before = copy.deepcopy(dict(model.body.named_buffers()))
    trained_on(model, images(1), images(1), [target(*TWO_PEOPLE)])
    assert all(torch.equal(value, before[name]) for name, value in model.body.named_buffers())
    other = detector(norm_eval=False)
    trained_on(other, images(1), images(1), [target(*TWO_PEOPLE)])
    assert int(other.body.bn1.num_batches_tracked) == 1


def test_gates_are_one_at_the_start_on_every_level_of_both_modalities(model: Detector) -> None:
    gates = model.gates(images(2), images(2))
    assert gates.keys() == {"visible", "infrared"}
    for levels in gates.values():
        assert list(levels) == ["0", "1", "2", "3", "pool"]
        assert levels["0"].shape == (2, 1, 16, 16)  # 48x64, padded to 64x64, by 4
        assert all((gate == 1).all() for gate in levels.values())


def test_a_detector_without_msp_or_macl_says_so() -> None:
    bare = detector(msp=False, macl=False, dhn=False).eval()
    with pytest.raises(ValueError, match="without MSP"):
        bare.gates(images(1), images(1))
    with pytest.raises(ValueError, match="without MACL"):
        bare.embed(images(1), images(1), [torch.zeros(0, 4)], [torch.zeros(0, 4)])


def test_an_embedding_belongs_to_its_box_in_its_modality(model: Detector) -> None:
    visible, infrared = images(1), images(1)
    one, other = torch.tensor(TWO_PEOPLE).split(1)
    both = model.embed(visible, infrared, [torch.cat([one, other])], [torch.cat([other, one])])
    again = model.embed(visible, infrared, [other], [other])
    torch.testing.assert_close(both.visible[1], again.visible[0])
    torch.testing.assert_close(both.infrared[0], again.infrared[0])
    assert (both.visible[0] - again.visible[0]).abs().max() > 1e-3
    torch.testing.assert_close(both.visible.norm(dim=1), torch.ones(2))


def test_boxes_to_embed_are_in_the_pixels_of_the_image_given(model: Detector) -> None:
    visible, infrared, boxes = images(1), images(1), torch.tensor(TWO_PEOPLE)
    small = model.embed(visible, infrared, [boxes], [boxes])
    large = model.embed(enlarged(visible), enlarged(infrared), [3 * boxes], [3 * boxes])
    torch.testing.assert_close(large.visible, small.visible)
    torch.testing.assert_close(large.infrared, small.infrared)
