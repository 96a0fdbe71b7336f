"""A total is taken apart into what the program added up, with its weights and names."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope.evidence.loss_terms import LossTerm, LossTerms
from stepscope.probes.loss_terms.probe import LossTermsProbe
from stepscope.probes.observation import Observation
from stepscope.probes.value_tracing.tracing import ValueTracing

Make = Callable[[dict[str, torch.Tensor]], torch.Tensor]


class Detector(nn.Module):
    """Hands out two losses in a dictionary, and keeps one as an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.body(x)
        self.aux_loss = hidden.square().mean()
        return {
            "loss_cls": functional.cross_entropy(self.head(hidden), torch.arange(len(x)) % 3),
            "loss_box": hidden.abs().mean(),
        }


def recorded(total: Make, *, steps: int = 2, backwards: int = 1) -> LossTerms:
    model = Detector()
    observation = Observation([ValueTracing, LossTermsProbe], steps=100)
    with observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(steps):
            for _ in range(backwards):
                losses = model(torch.randn(6, 4))
                losses["aux"] = model.aux_loss
                total(losses).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert not observation.run.faults
    (found,) = (each for each in observation.evidence if isinstance(each, LossTerms))
    return found


@dataclass(frozen=True, slots=True)
class Losses:
    terms: dict[str, torch.Tensor]


def test_terms_are_named_by_a_dataclass_without_a_dictionary_of_its_own() -> None:
    class Handing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detector = Detector()

        def forward(self, x: torch.Tensor) -> Losses:
            return Losses(self.detector(x))

    model = Handing()
    observation = Observation([ValueTracing, LossTermsProbe], steps=2)
    with observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            sum(model(torch.randn(6, 4)).terms.values()).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert not observation.run.faults
    (found,) = (each for each in observation.evidence if isinstance(each, LossTerms))
    assert weights(found) == {"loss_cls": 1.0, "loss_box": 1.0}


def weights(found: LossTerms) -> dict[str, float | None]:
    return {term.name: term.weight for term in found.terms}


def the(found: LossTerms, name: str) -> LossTerm:
    (term,) = (each for each in found.terms if each.name == name)
    return term


SUMS: dict[str, Make] = {
    "a sum of products": lambda x: 1.0 * x["loss_cls"] + 0.5 * x["loss_box"] + 0.1 * x["aux"],
    "a sum in place": lambda x: (
        (x["loss_cls"] + 0).add_(x["loss_box"] * 0.5).add_(x["aux"], alpha=0.1)
    ),
    "a stack": lambda x: torch.stack([x["loss_cls"], x["loss_box"] / 2, x["aux"] * 0.1]).sum(),
    "a difference": lambda x: x["loss_cls"] - (-0.5 * x["loss_box"]) - 0.2 * x["aux"] * -0.5,
    "the builtin": lambda x: sum(
        (x["loss_cls"], 0.5 * x["loss_box"], 0.1 * x["aux"]), torch.zeros(())
    ),
    "a weight in a tensor": lambda x: (
        x["loss_cls"] + torch.tensor(0.5) * x["loss_box"] + x["aux"] / 10
    ),
}


@pytest.mark.parametrize("how", SUMS)
def test_weights_come_back_however_the_sum_is_written(how: str) -> None:
    found = weights(recorded(SUMS[how]))
    assert found.pop("loss_cls") == pytest.approx(1.0)
    assert found.pop("loss_box") == pytest.approx(0.5)
    (aux,) = found.values()
    assert aux == pytest.approx(0.1)


def test_a_mean_over_terms_is_a_weight() -> None:
    found = weights(recorded(lambda x: torch.stack([x["loss_cls"], x["loss_box"]]).mean()))
    assert found == {"loss_cls": 0.5, "loss_box": 0.5}


def test_values_are_those_of_the_terms_without_their_weights() -> None:
    seen: list[tuple[float, float]] = []

    def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append((losses["loss_cls"].item(), losses["loss_box"].item()))
        return losses["loss_cls"] + 0.25 * losses["loss_box"]

    found = recorded(total)
    assert the(found, "loss_cls").values == pytest.approx([each[0] for each in seen])
    assert the(found, "loss_box").values == pytest.approx([each[1] for each in seen])


def test_the_one_value_that_died_is_what_is_left_of_the_total() -> None:
    seen: list[float] = []

    def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(losses["loss_box"].square().item())
        return losses["loss_cls"] + 0.25 * losses["loss_box"].square()

    (term,) = (each for each in recorded(total).terms if each.weight == 0.25)
    assert term.values == pytest.approx(seen, rel=1e-4)


def test_a_division_by_the_number_of_backwards_is_accumulation() -> None:
    found = recorded(lambda x: (x["loss_cls"] + 0.5 * x["loss_box"]) / 4, backwards=4)
    assert weights(found) == {"loss_cls": 1.0, "loss_box": 0.5}


def test_a_division_of_the_whole_is_a_weight_otherwise() -> None:
    found = recorded(lambda x: (x["loss_cls"] + 0.5 * x["loss_box"]) / 4, backwards=2)
    assert weights(found) == {"loss_cls": 0.25, "loss_box": 0.125}


def test_the_factor_of_a_scaler_is_no_weight() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    found = recorded(lambda x: scaler.scale(x["loss_cls"] + 0.5 * x["loss_box"]))
    assert weights(found) == {"loss_cls": 1.0, "loss_box": 0.5}


def test_a_weight_that_changes_is_none() -> None:
    ramp = iter((0.1, 0.2))
    found = weights(recorded(lambda x: x["loss_cls"] + next(ramp) * x["loss_box"]))
    assert found == {"loss_cls": 1.0, "loss_box": None}


def test_a_term_that_became_a_number_is_found_again() -> None:
    seen: list[float] = []

    def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(losses["loss_box"].item())
        return losses["loss_cls"] + 0.3 * seen[-1]

    (term,) = (each for each in recorded(total).terms if not each.differentiable)
    assert term.weight == pytest.approx(0.3)
    assert term.values == pytest.approx(seen)
    assert {name.rpartition("body.")[2] for name in term.feeds_from} == {"weight", "bias"}


def test_an_offset_that_nothing_feeds_is_no_term() -> None:
    found = recorded(lambda x: x["loss_cls"] + 0.125)
    assert weights(found) == {"loss_cls": 1.0}


def test_a_loss_that_no_backward_reaches_dangles() -> None:
    found = recorded(lambda x: x["loss_cls"] + x["aux"])
    assert [each.name for each in found.dangling] == ["loss_box"]
    assert found.values_read == ("loss_cls", "loss_box", "aux_loss")


def test_shares_are_those_of_the_gradients_norms() -> None:
    measured: list[float] = []
    torch.manual_seed(1)
    found = recorded(lambda x: x["loss_cls"] + 0.5 * x["loss_box"], steps=1)
    torch.manual_seed(1)
    model = Detector()
    losses = model(torch.randn(6, 4))
    name = "body." + the(found, "loss_box").share_on.rpartition("body.")[2]
    parameter = dict(model.named_parameters())[name]
    for key, weight in (("loss_cls", 1.0), ("loss_box", 0.5)):
        (gradient,) = torch.autograd.grad(losses[key] * weight, parameter, retain_graph=True)
        measured.append(gradient.norm().item())
    whole = sum(measured)
    assert the(found, "loss_cls").gradient_share == pytest.approx(measured[0] / whole, rel=1e-5)
    assert the(found, "loss_box").gradient_share == pytest.approx(measured[1] / whole, rel=1e-5)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_training_is_bit_identical(dropout: float, *, autocast: bool) -> None:
    def train() -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 3)
        )
        optimizer = torch.optim.Adam(model.parameters())
        scaler = torch.amp.GradScaler("cpu")
        for _ in range(6):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                out = model(torch.randn(8, 4)).float()
                loss_a = functional.cross_entropy(out, torch.arange(8) % 3)
                loss_b = out.square().mean()
            scaler.scale((loss_a + 0.1 * loss_b) / 2).backward()
            scaler.step(optimizer)
            scaler.update()
        return [*model.state_dict().values(), torch.get_rng_state()]

    plain = train()
    observation = Observation([ValueTracing, LossTermsProbe], steps=4)
    with observation:
        watched = train()
    assert not observation.run.faults
    (found,) = (each for each in observation.evidence if isinstance(each, LossTerms))
    assert all(term.gradient_share is not None for term in found.terms)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_the_variables_of_the_program_are_not_kept_alive() -> None:
    model = Detector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Observation([ValueTracing, LossTermsProbe], steps=100):
        losses = model(torch.randn(6, 4))
        sum(losses.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
        held = weakref.ref(losses["loss_cls"])
        del losses
        assert held() is None
