"""Freezes of a program are noticed, held against the rules, and change nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stepscope.core import Recording, Status, judge
from stepscope.evidence.freezing import Freeze, Freezes, joined
from stepscope.evidence.intent import Intent
from stepscope.evidence.parameters import Parameters
from stepscope.freezing import Frozen, freeze
from stepscope.freezing.proof.observed import FreezesProbe
from stepscope.probes.observation import Observation
from stepscope.rules.freezing.frozen_but_changed import frozen_but_changed
from stepscope.rules.freezing.frozen_stats_drift import frozen_stats_drift
from stepscope.rules.freezing.intent_frozen_trainable import intent_frozen_trainable
from stepscope.session import every_probe


def model() -> nn.Module:
    body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    return nn.Sequential(body, nn.Linear(4, 2))


def watch(program: Callable[[nn.Module], object], *, all_probes: bool = False) -> Recording:
    """Freeze as `program` does, then train."""
    observation = Observation(every_probe() if all_probes else [FreezesProbe], steps=1000)
    with observation:
        network = model()
        kept = program(network)
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.1)
        for _ in range(2):
            network.train()
            optimizer.zero_grad()
            network(torch.randn(6, 4)).sum().backward()
            optimizer.step()
        del kept
    assert observation.run.faults == []
    return Recording(*observation.evidence)


def freezes(recording: Recording) -> tuple[Freeze, ...]:
    found = recording.get(Freezes)
    return () if found is None else found.freezes


def test_a_freeze_is_seen_with_its_line_though_its_handle_is_dropped() -> None:
    (seen,) = freezes(watch(lambda network: freeze(network, "0") and None))
    assert seen.patterns == ("0",)
    assert seen.parameters == ("0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias")
    assert seen.modules == ("0", "0.0", "0.1")
    assert (seen.is_active, seen.at.file, seen.at.step) == (True, __file__, 0)


def test_names_are_those_of_the_recording_where_a_part_was_frozen() -> None:
    (seen,) = freezes(
        watch(lambda network: freeze(network.get_submodule("0"), "1"), all_probes=True)
    )
    assert seen.parameters == ("0.1.weight", "0.1.bias")
    assert seen.modules == ("0.1",)


def test_a_freeze_that_was_undone_is_said_to_be() -> None:
    def program(network: nn.Module) -> None:
        with freeze(network, "0"):
            pass

    (seen,) = freezes(watch(program))
    assert not seen.is_active


def test_a_freeze_that_failed_is_none() -> None:
    def program(network: nn.Module) -> None:
        with pytest.raises(ValueError, match="nothing"):
            freeze(network, "nothing")

    assert freezes(watch(program)) == ()


def verdicts(program: Callable[[nn.Module], object]) -> list[Status]:
    recording = watch(program, all_probes=True)
    found = recording.get(Freezes), recording.get(Parameters)
    recording.add(joined(Intent(), *found))
    rules = [intent_frozen_trainable, frozen_stats_drift, frozen_but_changed]
    return [outcome.status for outcome in judge(rules, recording)]


def test_a_freeze_is_judged_as_declared() -> None:
    def broken(network: nn.Module) -> Frozen:
        handle = freeze(network, "0")
        network.get_submodule("0").requires_grad_()
        return handle

    failed, passed = Status.FAILED, Status.PASSED
    assert verdicts(lambda network: freeze(network, "0")) == [passed, passed, passed]
    assert verdicts(broken) == [failed, passed, passed]


def test_statistics_that_were_to_follow_are_no_drift() -> None:
    passed = Status.PASSED
    assert verdicts(lambda network: freeze(network, "0", norm="train")) == [passed] * 3


def test_the_patches_are_gone_when_the_recording_is_over() -> None:
    before = Frozen.__init__, Frozen.undo
    watch(lambda network: freeze(network, "0"))
    assert (Frozen.__init__, Frozen.undo) == before
