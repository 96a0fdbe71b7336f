"""Runs the command as a user does, in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

FAULTY = """\
import subprocess, sys, torch
print("arguments", sys.argv[1:])
subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
model = torch.nn.Sequential(torch.nn.Linear(4, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model.append(torch.nn.Linear(4, 2))
for step in range(100):
    optimizer.zero_grad()
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Write a program whose head is in no optimizer."""
    script = tmp_path / "train.py"
    script.write_text(FAULTY, "utf-8")
    return script


@pytest.fixture
def stepscope(tmp_path: Path) -> Command:
    """Return a function that runs the command in the folder of the test."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepscope", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
        )

    return run
