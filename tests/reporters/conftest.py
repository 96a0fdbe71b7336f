"""Reports to render: an ordinary one, a clean one, one that crashed, and a hostile one."""

from pathlib import Path

import pytest

from stepscope.core import (
    Finding,
    Findings,
    Outcome,
    Place,
    Recording,
    Related,
    Rule,
    Severity,
    Status,
    rule,
)
from stepscope.core.joining import join
from stepscope.core.verdict import Report, RunFacts
from stepscope.evidence.environment import Environment, Loader, Loaders, Message, Messages
from stepscope.evidence.gradients import Gradients
from stepscope.rules.optimizer import not_in_optimizer

HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J [bold]markup[/bold] :smile: <script>alert(1)</script> & "
    "\"quoted\" 'too' `code` ]]> %0A ::error::fake \u202eesrever\u200b \x00 \ud800 \uffff "
    "| pipe\r\n::warning::second line\n# heading\n```\n@someone {{ 7 * 7 }} {% raw %}"
)

SOURCE = """\
import torch

def main() -> None:
    model = Detector(num_classes=80)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.backbone.parameters(), "lr": 0.0},
            {"params": model.head.parameters(), "lr": 1e-3},
        ],
    )
    for images, targets in loader:
        with torch.no_grad():
            score = model.score(images)  # a remark that is far too long for eighty columns
        loss = model.head(images * score, targets)
        loss.backward()
"""


def made(code: str, name: str, severity: Severity) -> Rule:
    def judge(_: Gradients) -> Findings:
        return ()

    judge.__name__ = name
    judge.__module__ = not_in_optimizer.__name__  # a file with a page
    return rule(code, severity)(judge)


ZERO_LR = made("FRZ001", "frozen_by_zero_lr", Severity.ERROR)
NO_GRAD = made("GRD002", "cut_by_no_grad", Severity.ERROR)
DRIFT = made("FRZ003", "frozen_stats_drift", Severity.WARNING)
WEIGHTS = made("LOS010", "weight_recovered", Severity.NOTE)
QUIET = [
    Outcome(made(code, "some_rule", Severity.ERROR), Status.PASSED)
    for code in ("FRZ002", "FRZ004", "FRZ005", "NUM001")
]
UNSURE = [
    Outcome(made("FRZ006", "one_rule", Severity.ERROR), Status.SKIPPED, reason="needs an intent"),
    Outcome(made("LOS002", "two_rule", Severity.ERROR), Status.SKIPPED, reason="needs an intent"),
    Outcome(made("DST003", "other_rule", Severity.ERROR), Status.SKIPPED, reason="one process"),
    Outcome(
        made("CON003", "broken_rule", Severity.ERROR),
        Status.CRASHED,
        reason="Traceback (most recent call last):\n  ...\nKeyError: 'lr'\n",
    ),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SOURCE, "utf-8")
    return tmp_path


@pytest.fixture
def run(project: Path) -> RunFacts:
    return RunFacts(program="train.py", root=str(project), steps=3, asked=3, wall_s=4.25)


@pytest.fixture
def report(project: Path, run: RunFacts) -> Report:
    script = str(project / "train.py")
    outcomes = [
        Outcome(
            ZERO_LR,
            Status.FAILED,
            (
                Finding(
                    subject="backbone (159 of 161 parameters)",
                    message="never updated, yet backward computes gradients for it",
                    measured="lr 0 in group 0 at each of 3 steps; 88.8 MiB of gradients held",
                    expected="requires_grad=False",
                    at=Place(file=script, line=7, function="main"),
                ),
            ),
        ),
        Outcome(
            NO_GRAD,
            Status.FAILED,
            (
                Finding(
                    subject="score.weight, score.bias",
                    message="get no gradient: their value enters the loss through a region "
                    "without gradient, and there is no other path",
                    measured="0 of 3 backwards reach them",
                    expected="a derivative other than 0",
                    at=Place(file=script, line=13, function="main", module="score", step=0),
                    related=(
                        Related("gradients are turned off here", Place(file=script, line=12)),
                        Related("is made here", Place(file=script, line=4)),
                    ),
                ),
            ),
        ),
        Outcome(
            DRIFT,
            Status.FAILED,
            (
                Finding(
                    subject="53 normalisation layers",
                    message="are frozen, but their statistics move",
                    measured="moved by up to 0.021",
                    expected="evaluation mode",
                    at=Place(module="backbone.bn1", step=2),
                ),
            ),
        ),
        Outcome(
            WEIGHTS,
            Status.FAILED,
            (Finding(subject="total loss", message="is a sum", measured="1.0 * a", expected="-"),),
        ),
    ]
    near = Place(file=script, line=4)
    return join(
        run,
        {0: [*outcomes, *QUIET, *UNSURE]},
        ignore={"FRZ003": "they are meant to follow the new domain"},
        locate=lambda finding: near if finding.at.module else None,
    )


def described(text: str, *, lines: int) -> Recording:
    place = Place(file="train.py", line=5, function=text)
    message = Message(kind=text, source=text, text=text, count=2, at=place)
    loader = Loader(
        dataset=text,
        size=100,
        batch_size=8,
        workers=2,
        shuffled=True,
        drop_last=False,
        batches=3,
        at=place,
    )
    return Recording(
        Environment(
            python="3.12.1", torch=text, platform=text, devices=(text,), packages=((text, text),)
        ),
        Messages(messages=(message,) * lines),
        Loaders(loaders=(loader,)),
    )


@pytest.fixture
def described_report(project: Path) -> Report:
    """One whose circumstances are known, with more messages than are listed."""
    seen = described("some", lines=60)
    run = RunFacts(program="train.py", root=str(project), steps=3, asked=3, seen=seen)
    return join(run, {0: QUIET})


@pytest.fixture
def clean_report(run: RunFacts) -> Report:
    return join(run, {0: [*QUIET, *UNSURE[:3]]})


@pytest.fixture
def crashed_report(project: Path) -> Report:
    run = RunFacts(
        program="train.py",
        root=str(project),
        steps=0,
        asked=3,
        ending="raised",
        error="ValueError: Expected more than 1 value per channel when training",
        error_at=Place(file=str(project / "train.py"), line=14, function="main"),
    )
    return join(run, {0: QUIET})


@pytest.fixture
def hostile_report(project: Path) -> Report:
    """Every text in it is hostile, and so is the source line that it points at."""
    name = b"\xff evil\x1b[1m\n,line=7:;.py".decode("utf-8", "surrogateescape")
    (project / "evil.py").write_text(f"first\nx = '{HOSTILE[:60]}'\n", "utf-8", "replace")
    outcomes = [
        Outcome(
            ZERO_LR,
            Status.FAILED,
            (
                Finding(
                    subject=HOSTILE,
                    message=HOSTILE,
                    measured=HOSTILE,
                    expected=HOSTILE,
                    at=Place(file=name, line=3, function=HOSTILE, module=HOSTILE),
                    related=(Related(HOSTILE, Place(file="evil.py", line=2)),),
                ),
            ),
        ),
        Outcome(NO_GRAD, Status.SKIPPED, reason=HOSTILE),
        Outcome(WEIGHTS, Status.CRASHED, reason=HOSTILE),
        Outcome(
            DRIFT,
            Status.FAILED,
            (Finding(subject=HOSTILE, message="m", measured="m", expected="e"),),
        ),
    ]
    run = RunFacts(
        program=HOSTILE,
        root=str(project),
        steps=1,
        asked=3,
        ending="raised",
        error=HOSTILE,
        error_at=Place(file=name, line=1),
        notes=(HOSTILE,),
        faults=(HOSTILE,),
        settings=HOSTILE,
        seen=described(HOSTILE, lines=1),
    )
    return join(run, {0: outcomes}, ignore={"FRZ003": HOSTILE})
