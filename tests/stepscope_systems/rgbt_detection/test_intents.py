"""`stepscope check` finds nothing against either stage."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import stepscope_systems.rgbt_detection as system
from tests.stepscope_systems.rgbt_detection.tiny_runs import OPTIONS, share_data

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(600)]
INTENTS = Path(system.__file__).parent / "intents"


def checked(stage: str, *options: str, folder: Path) -> tuple[int, dict[str, Any], str]:
    """Check a stage in a process of its own: exit code, report, and what was said."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "stepscope", "check", "--format", "json"),
            *("--intent", str(INTENTS / f"{stage}.toml")),
            *("-m", "stepscope_systems.rgbt_detection", stage, *OPTIONS, *options),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=500,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def learnt(stage1: Path, folder: Path) -> Path:
    """Return a stage 1 whose temperature is as far from its start as hours of training take it."""
    content = torch.load(stage1 / "best.ckpt", weights_only=True)
    content["state_dict"]["detector.alignment.macl.tau"].fill_(0.05)
    torch.save(content, folder / "best.ckpt")
    return folder / "best.ckpt"


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_a_stage_is_what_its_intent_says(stage: str, stage1: Path, tmp_path: Path) -> None:
    start = ["--checkpoint", str(learnt(stage1, tmp_path))] if stage == "stage2" else []

    code, _, said = checked(
        stage, "--output", str(share_data(stage1.parent, tmp_path)), *start, folder=tmp_path
    )

    assert code == 0, said


def test_a_body_that_is_not_frozen_breaks_the_intent_of_stage_2(
    stage1: Path, tmp_path: Path
) -> None:
    code, _, _ = checked(
        "stage2",
        *("--output", str(share_data(stage1.parent, tmp_path))),
        *("--checkpoint", str(stage1 / "best.ckpt"), "--model.frozen_stages", "0"),
        folder=tmp_path,
    )

    assert code == 1
