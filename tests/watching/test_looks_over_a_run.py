"""What close looks have shown is followed over the run, live and from the recording."""

import torch

from stepscope.core import Findings, Recording, Severity, rule
from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.evidence.course.branch_looks import BranchesLooked, BranchLooks
from stepscope.evidence.course.term_looks import TermLooks, TermsLooked
from stepscope.evidence.environment import Beginning
from stepscope.evidence.loss_terms import LossTerm, LossTerms
from stepscope.watching.watched import Plan, Watched


def two_terms(steps: int) -> None:
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        out = model(torch.ones(8, 4))
        loss_task, loss_aux = out.mean(), out.mean() * 1.0
        (loss_task + 1e-6 * loss_aux).backward()
        optimizer.step()


def test_each_window_adds_one_look_at_the_terms() -> None:
    seen: list[tuple[int, bool]] = []

    @rule("XXX001", Severity.NOTE)
    def listening(looks: TermLooks) -> Findings:
        seen[:] = [(step, each.is_beginning) for step, each in looks.seen]
        yield from ()

    with Watched("train.py", rules=[listening], plan=Plan(steps=2, at=(10,))) as watched:
        two_terms(15)
    assert watched.faults == []
    assert seen == [(2, True), (12, False)]


def test_terms_without_a_share_are_no_look() -> None:
    term = LossTerm(name="a", named_by_model=True, weight=1.0, values=(1.0,), differentiable=True)
    window = Recording(LossTerms(terms=(term,)), Beginning())
    assert list(TermsLooked.seen_in(window)) == []
    assert list(TermsLooked.seen_in(Recording())) == []


def test_looks_whose_samples_were_not_compared_are_left_out() -> None:
    def branch(samples: int) -> Branch:
        return Branch(
            input="a", dimensions=2, modules=("m",), first="m", last="m",
            samples=samples, is_same=False, is_zero=False,
        )  # fmt: skip

    windows = [Recording(ModalityBranches(branches=(branch(n),))) for n in (8, 0, 4)]
    seen = tuple((i, each) for i, w in enumerate(windows) for each in BranchesLooked.seen_in(w))
    looks = BranchLooks(seen=seen, count=3)
    assert [each.samples for each in looks.at("a")] == [8, 4]
    assert looks.at("b") == []
