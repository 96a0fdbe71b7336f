"""Clipped gradients are measured as they were before, and come out as they would have."""

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from stepscope.core import Recording
from stepscope.evidence.clipping import Clip, Clips, SkippedSteps
from stepscope.probes.clipping import ClippingProbe
from stepscope.probes.observation import Observation

Clipping = Callable[[nn.Module], object]


def by_name_in_torch(model: nn.Module) -> torch.Tensor:
    return torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)


def by_name_taken_before(model: nn.Module) -> torch.Tensor:
    return clip_grad_norm_([*model.parameters()], 0.5, foreach=False)


def in_two_calls(model: nn.Module) -> torch.Tensor:
    held = [each for each in model.parameters() if each.grad is not None]
    total = torch.nn.utils.get_total_norm([each.grad for each in held])  # type: ignore[misc]
    torch.nn.utils.clip_grads_with_norm_((each for each in held), 0.5, total)
    return total


def train(clip: Clipping, *, watched: bool) -> tuple[nn.Module, Recording, list[torch.Tensor]]:
    """Take one step; return the model with its clipped gradients, and the gradients before."""
    torch.manual_seed(0)
    before: list[torch.Tensor] = []
    observation = Observation([ClippingProbe] if watched else [], steps=1000)
    with observation:
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(9, 9))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model[1](model[0](torch.ones(3, 4))).square().sum().backward()
        before += [each.grad.clone() for each in model.parameters() if each.grad is not None]
        clip(model)
        optimizer.step()
    assert observation.run.faults == []
    return model, Recording(*observation.evidence), before


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [each.grad for each in model.parameters() if each.grad is not None]


def only(recording: Recording) -> Clip:
    clips = recording.get(Clips)
    assert clips is not None
    (clip,) = clips.clips
    return clip


@pytest.mark.parametrize("clip", [by_name_in_torch, by_name_taken_before, in_two_calls])
def test_every_way_to_clip_is_seen_once_and_comes_out_the_same(clip: Clipping) -> None:
    plain, _, _ = train(clip, watched=False)
    watched, recording, before = train(clip, watched=True)
    assert all(map(torch.equal, gradients(plain), gradients(watched)))
    seen = only(recording)
    assert seen.parameters == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert seen.norms == pytest.approx([float(each.norm()) for each in before])
    assert seen.total == pytest.approx(float(torch.cat([e.flatten() for e in before]).norm()))
    assert (seen.max_norm, seen.norm_type, seen.step) == (0.5, 2.0, 0)
    assert seen.at.file == __file__
    after = gradients(watched)
    assert [float(each.norm()) for each in after] == pytest.approx(
        [norm * seen.factor(seen.total) for norm in seen.norms]
    )


@pytest.mark.parametrize("order", [1.0, 3.0, math.inf])
def test_norms_of_other_types_are_taken_as_they_were_asked_for(order: float) -> None:
    def clip(model: nn.Module) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5, norm_type=order)

    _, recording, before = train(clip, watched=True)
    seen = only(recording)
    assert seen.norms == pytest.approx([float(each.flatten().norm(order)) for each in before])
    both = torch.cat([before[0].flatten(), before[2].flatten()]).norm(order)
    assert seen.norm_of({"0.weight", "1.weight"}) == pytest.approx(float(both))
    assert seen.norm_of(seen.parameters) == pytest.approx(seen.total)


def norm_of(*norms: float) -> float:
    names = tuple(map(str, range(len(norms))))
    clip = Clip(step=0, max_norm=1, norm_type=2, total=0, parameters=names, norms=norms)
    return clip.norm_of(names)


def test_a_norm_of_what_is_not_finite_is_not_either() -> None:
    assert norm_of(3.0, 4.0) == 5.0
    assert norm_of(1.0, math.inf) == math.inf
    assert math.isnan(norm_of(math.inf, math.nan))
    assert norm_of() == 0.0


def scaled(losses: Iterable[float]) -> SkippedSteps | None:
    observation = Observation([ClippingProbe], steps=1000)
    with observation:
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        for factor in losses:
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(3, 4)).sum()).backward()
            model[1].bias.grad.mul_(factor)
            scaler.step(optimizer)
            scaler.update()
    assert observation.run.faults == []
    return Recording(*observation.evidence).get(SkippedSteps)


def test_a_step_that_a_scaler_leaves_out_names_the_gradient_that_is_the_reason() -> None:
    skipped = scaled([1.0, math.inf, 1.0, math.nan])
    assert skipped is not None
    assert [(step.step, step.non_finite) for step in skipped.steps] == [
        (1, ("1.bias",)),
        (2, ("1.bias",)),
    ]
    assert skipped.steps[0].finite == ("0.weight", "0.bias", "1.weight")
    assert skipped.steps[0].at.file == __file__


def test_a_scaler_that_skips_nothing_leaves_no_evidence() -> None:
    assert scaled([1.0, 1.0]) is None


def test_what_is_clipped_after_the_recording_is_not_kept() -> None:
    _, recording, _ = train(lambda _: None, watched=True)
    assert recording.get(Clips) is None
    observation = Observation([ClippingProbe], steps=1)
    with observation:
        pass
    train(by_name_taken_before, watched=False)
    assert observation.evidence == []
