"""Programs under `stepscope check`, in a process of their own."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LOOP = """
import sys, torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def step(i):
    optimizer.zero_grad()
    loss = model(torch.randn(8, 4)).square().mean()
    loss.backward()
    optimizer.step()
    sys.stdout.write(f"step {i}\\n")  # in one piece: other processes print too
"""


@dataclass(frozen=True)
class Checked:
    """What came of it."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        """The report in JSON, from standard output."""
        return json.loads(self.out)

    @property
    def steps_printed(self) -> int:
        """Steps that the program printed; its own output goes to stderr beside a JSON report."""
        return len(re.findall(r"^step \d+$", self.err, re.MULTILINE))


Check = Callable[..., Checked]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Write a program, and run it under `stepscope check` with a JSON report."""

    def run(
        program: str, *arguments: str, options: tuple[str, ...] = (), loop: bool = True
    ) -> Checked:
        script = tmp_path / "train.py"
        script.write_text((LOOP if loop else "") + textwrap.dedent(program))
        command = [sys.executable, "-m", "stepscope", "check", "--format", "json", *options]
        done = subprocess.run(
            [*command, "train.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Checked(done.returncode, done.stdout, done.stderr)

    return run
