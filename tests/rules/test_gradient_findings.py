"""One line that cuts is one finding, wherever in the model its parameters are."""

import torch
from torch import Tensor, nn

from stepscope.core import Finding, Rule, Watch, judge
from stepscope.rules.gradients.cut_by_detach import cut_by_detach
from stepscope.rules.gradients.cut_by_no_grad import cut_by_no_grad
from stepscope.rules.gradients.partial_cut import partial_cut
from stepscope.session import record_example


class Gate(nn.Module):
    """Scales its input by a score that gets no gradient, in one of three ways."""

    def __init__(self, cut: str) -> None:
        super().__init__()
        self.cut = cut
        self.score, self.value = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.cut == "detach":
            return self.value(self.score(x).sigmoid().detach() * x)
        with torch.no_grad():
            score = (x if self.cut == "partly" else self.score(x)).sigmoid()
        if self.cut == "partly":
            score = score + 0 * self.score(x)
        return self.value(score * x)


def found(rule: Rule, cut: str) -> list[Finding]:
    def example(_: Watch) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), *(Gate(cut) for _ in range(4)))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _step in range(2):
            optimizer.zero_grad()
            model(torch.randn(5, 4)).square().mean().backward()
            optimizer.step()

    (outcome,) = judge((rule,), record_example(example))
    return list(outcome.findings)


def test_four_modules_that_run_one_line_under_no_grad_are_one_finding() -> None:
    (finding,) = found(cut_by_no_grad, "no_grad")
    assert finding.subject == "1.score, 2.score, 3.score, ... (8 parameters)"
    assert (finding.at.module, finding.at.parameter) == ("1.score", "")
    assert finding.at.file == __file__


def test_four_modules_that_detach_in_one_line_are_one_finding() -> None:
    (finding,) = found(cut_by_detach, "detach")
    assert finding.subject == "1.score, 2.score, 3.score, ... (8 parameters)"
    assert (finding.at.module, finding.at.parameter) == ("1.score", "")


def test_a_partial_cut_in_four_modules_is_one_finding_that_counts_them() -> None:
    (finding,) = found(partial_cut, "partly")
    assert finding.subject == "`sigmoid` in 1 and 3 other modules"
