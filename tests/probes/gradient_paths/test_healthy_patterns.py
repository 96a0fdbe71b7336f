"""Healthy patterns that look like a cut are silent, and known for what they are."""

import warnings

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stepscope.core import Severity, judge
from stepscope.evidence.gradient_paths import CutRole
from stepscope.rules.gradients.amplified_gradient import amplified_gradient
from stepscope.rules.gradients.checkpoint_drops_gradient import checkpoint_drops_gradient
from stepscope.rules.gradients.cut_by_detach import cut_by_detach
from stepscope.rules.gradients.cut_by_no_grad import cut_by_no_grad
from stepscope.rules.gradients.no_path_to_loss import no_path_to_loss
from stepscope.rules.gradients.partial_cut import partial_cut
from stepscope.rules.gradients.zero_gradient import zero_gradient
from tests.probes.gradient_paths.networks import (
    Net,
    custom_function,
    not_reentrant,
    observe,
    program,
    queue,
    reentrant,
    straight_through,
)

RULES = (
    no_path_to_loss, cut_by_no_grad, partial_cut, cut_by_detach, zero_gradient,
    amplified_gradient, checkpoint_drops_gradient,
)  # fmt: skip


def ema_target(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        target = teacher(x).softmax(-1)
    return loss + functional.kl_div(out.log_softmax(-1), target, reduction="batchmean")


def ema_update(net: Net, teacher: Net) -> None:
    with torch.no_grad():
        for slow, fast in zip(teacher.parameters(), net.parameters(), strict=True):
            slow.mul_(0.9).add_(fast, alpha=0.1)


def metric(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        (out.softmax(-1) * out.log_softmax(-1)).sum(-1).mean().item()
    return loss


def fixmatch(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    with torch.no_grad():
        p = net(x + 0.1).softmax(-1)
        mask = (p.max(-1).values > 0.3).float()
    unlabelled = functional.cross_entropy(out, p.argmax(-1), reduction="none")
    return loss + (unlabelled * mask).mean() + functional.mse_loss(out.softmax(-1), p)


def simsiam(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    return loss - functional.cosine_similarity(net(x + 0.1), out.detach(), dim=-1).mean()


def self_weighted(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    return loss * (1 / loss.detach())


def actor_critic(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    value = out[:, 3]
    return -(out.log_softmax(-1)[:, 0] * (1 - value.detach())).mean() + (1 - value).square().mean()


def penalised(net: Net, teacher: Net, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(loss, net.head.weight, create_graph=True)
    return loss + slope.square().sum()


HEALTHY = {
    "plain": program(),
    "straight-through": program(straight_through),
    "re-entrant checkpoint": program(reentrant),
    "checkpoint": program(not_reentrant),
    "custom function": program(custom_function),
    "queue": program(queue),
    "ema": program(loss_of=ema_target, after=ema_update),
    "metric": program(loss_of=metric),
    "fixmatch": program(loss_of=fixmatch),
    "simsiam": program(loss_of=simsiam),
    "self-weighted loss": program(loss_of=self_weighted),
    "actor-critic": program(loss_of=actor_critic),
    "gradient penalty": program(loss_of=penalised),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_pattern_is_silent(name: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*checkpoint.*")
        paths, recording = observe(HEALTHY[name])
    assert paths.unreached == ()
    loud = [
        finding
        for outcome in judge(RULES, recording)
        for finding in outcome.findings
        if outcome.severity(finding) is not Severity.NOTE
    ]
    assert loud == []


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("straight-through", CutRole.STRAIGHT_THROUGH),
        ("fixmatch", CutRole.TARGET),
        ("simsiam", CutRole.WEIGHT),
        ("self-weighted loss", CutRole.WEIGHT),
        ("actor-critic", CutRole.WEIGHT),
    ],
)
def test_a_healthy_cut_is_recognised_by_what_its_value_is_for(name: str, role: CutRole) -> None:
    assert {cut.role for cut in observe(HEALTHY[name])[0].cuts} == {role}
