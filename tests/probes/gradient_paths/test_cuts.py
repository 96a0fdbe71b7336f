"""Every way to cut a gradient is found, with its line and what dies of it."""

from collections.abc import Callable

import pytest
from torch import Tensor

from stepscope.core import Severity, judge
from stepscope.evidence.gradient_paths import CutKind, CutRole
from stepscope.rules.gradients.partial_cut import partial_cut
from tests.probes.gradient_paths.networks import (
    BACKBONE,
    STEPS,
    Net,
    data,
    decorated,
    detached,
    in_place,
    inference,
    into_a_view,
    item,
    no_grad,
    no_grad_partly,
    observe,
    only_cut,
    out_argument,
    program,
    scores,
    switched_off,
    through_numpy,
)


@pytest.mark.parametrize(
    ("forward", "kind", "operation"),
    [
        (no_grad, CutKind.NO_GRAD, "matmul"),
        (in_place, CutKind.NO_GRAD, "matmul"),
        (into_a_view, CutKind.NO_GRAD, "matmul"),
        (out_argument, CutKind.NO_GRAD, "mm"),
        (decorated, CutKind.NO_GRAD, "matmul"),
        (switched_off, CutKind.NO_GRAD, "matmul"),
        (inference, CutKind.NO_GRAD, "matmul"),
        (data, CutKind.DETACH, "data"),
        (detached, CutKind.DETACH, "detach"),
    ],
)
def test_a_cut_that_leaves_no_other_path_names_its_dead_parameters(
    forward: Callable[[Net, Tensor, Tensor], Tensor], kind: CutKind, operation: str
) -> None:
    cut = only_cut(program(forward))
    assert (cut.kind, cut.role, cut.operation) == (kind, CutRole.FEATURE, operation)
    assert len(cut.dead) == BACKBONE
    assert all(name.startswith("backbone") for name in cut.dead)
    assert cut.steps == STEPS


@pytest.mark.parametrize("forward", [through_numpy, item])
def test_a_value_that_leaves_torch_is_an_escape(
    forward: Callable[[Net, Tensor, Tensor], Tensor],
) -> None:
    cut = only_cut(program(forward))
    assert cut.kind is CutKind.ESCAPE
    assert len(cut.dead) == BACKBONE


def test_a_region_is_the_line_of_the_with_statement() -> None:
    cut = only_cut(program(no_grad))
    first = no_grad.__code__.co_firstlineno
    assert cut.region is not None
    assert cut.region.line == first + 1
    assert cut.at.line == scores.__code__.co_firstlineno + 1
    assert [at.line for at in cut.enters] == [first + 3]


def test_a_region_is_the_function_that_was_decorated() -> None:
    cut = only_cut(program(decorated))
    assert cut.region is not None
    assert cut.region.function == "decorated_scores"


def test_a_partial_cut_is_proved_by_forward_mode_and_difference() -> None:
    cut = only_cut(program(no_grad_partly))
    assert (cut.role, cut.dead) == (CutRole.FEATURE, ())
    assert cut.proof is not None, cut.not_proved
    assert cut.proof.forward == pytest.approx(cut.proof.difference, rel=1e-6)
    assert abs(cut.proof.reverse - cut.proof.difference) > 0.01 * abs(cut.proof.difference)


def test_a_partial_cut_never_blames_the_parameters() -> None:
    _, recording = observe(program(no_grad_partly))
    (outcome,) = judge([partial_cut], recording)
    (finding,) = outcome.findings
    assert outcome.severity(finding) is Severity.WARNING
    assert "in `no_grad_partly`, from `matmul` on, gets no gradient" in finding.message
    assert "keep another path" in finding.message
    assert "backbone" not in finding.subject + finding.message
