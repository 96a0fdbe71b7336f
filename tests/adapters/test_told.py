"""What programs say of themselves is heard, whoever watches; milestones are held against it."""

import subprocess
import sys
from pathlib import Path

import pytest

import stepscope
from stepscope.evidence.course.metrics import MetricCurves
from tests.adapters.kept import kept
from tests.adapters.looping import Network, optimizer_of, steps

PROGRAM = """
import torch, stepscope
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with stepscope.watch(model, optimizer) as run:
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).square().mean().backward()
        optimizer.step()
        run.log(acc=0.5)
print("report", run.report)
"""


@pytest.mark.parametrize(
    ("command", "said"), [("run", "6 optimizer steps"), ("check", "3 optimizer steps")]
)
def test_under_the_command_line_there_is_one_observer(
    tmp_path: Path, command: str, said: str
) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "stepscope", command, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert "our fault" not in done.stderr
    assert done.stdout == ("report None\n" if command == "run" else "")
    if command == "run":
        curves = kept(tmp_path).evidence[MetricCurves]
        assert isinstance(curves, MetricCurves)
        assert curves.series["acc"].values == (0.5,) * 6


def test_a_milestone_is_judged_when_it_falls_due_and_not_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    milestones = ["epoch 1: acc > 0.1", "epoch 2: acc > 0.2", "epoch 3: acc > 0.3"]
    intent = {"milestones": milestones}
    said: list[bool] = []
    with stepscope.watch(model, optimizer, folder=tmp_path, intent=intent) as run:
        for epoch in range(4):
            run.epoch(epoch, planned=4)
            list(steps(model, optimizer, 25))
            run.log(acc=0.15)
            said.append("RUN002" in capfd.readouterr().err)
    assert said[:2] == [False, False]  # at step 50 the second epoch is about to end
    assert said[3]
    assert run.report is not None
    missed = [each.finding for each in run.report.findings if each.rule.code == "RUN002"]
    assert [each.subject for each in missed] == milestones[1:]
    assert missed[0].measured == (
        "acc 0.15 at step 50; epoch 1: acc > 0.1: 0.15, kept; epoch 3: acc > 0.3: 0.15, missed"
    )
    assert missed[0].expected == "acc > 0.2 after epoch 2"


HEARD = """
import torch
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter("logs")
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(30):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.randint(2, (8,))).backward()
    optimizer.step()
    writer.add_scalar("val/acc", 0.5, step)
writer.close()
"""


def test_milestones_of_a_program_that_knows_nothing_of_us_are_judged_too(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(HEARD)
    (tmp_path / "stepscope.toml").write_text(
        '[intent]\nmilestones = [\n"step 10: acc > 0.4",\n"step 20: total < 0.1 of chance"]\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "stepscope", "run", "--select", "RUN002", "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "stepscope.toml:4" in done.stderr
    assert "of chance (last" in done.stderr
    assert "with N = 2)" in done.stderr
    assert "Nothing at fault: 1 of 1 rule judged (1 warning)." in done.stderr
