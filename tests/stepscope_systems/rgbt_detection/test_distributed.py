"""Two processes train one detector."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stepscope_systems.rgbt_detection.checkpoints import read_trained
from stepscope_systems.rgbt_detection.data.stages import lists_of
from stepscope_systems.rgbt_detection.evaluation import evaluate
from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from tests.stepscope_systems.rgbt_detection.tiny_runs import different, share_data

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
Ranks = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def output(stage1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train by `torchrun` in two processes; return the folder of the run."""
    output = share_data(stage1.parent, tmp_path_factory.mktemp("ranks") / "runs")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(Path(__file__).with_name("two_ranks.py"))),
            *(str(output), str(stage1 / "best.ckpt")),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (output / "stage1" / "stderr.txt").write_text(done.stderr)
    return output / "stage1"


@pytest.fixture(scope="module")
def ranks(output: Path) -> Ranks:
    first, second = (torch.load(output / f"rank{rank}.pt") for rank in (0, 1))
    return first, second


def test_both_ranks_end_with_the_same_weights(ranks: Ranks, stage1: Path) -> None:
    first, second = ranks

    assert different(first["parameters"], second["parameters"]) == []
    before = torch.load(stage1 / "best.ckpt")["state_dict"]
    weight = "detector.rpn.head.cls_logits.weight"
    assert not torch.equal(first["parameters"][weight], before[weight])


def test_both_ranks_end_with_the_same_queue_of_all_people(ranks: Ranks) -> None:
    first, second = ranks

    assert different(first["queue"], second["queue"]) == []
    assert first["counts"] == second["counts"]
    assert first["counts"]["filled"] == 32


def test_a_rank_without_people_takes_in_those_of_the_other(ranks: Ranks) -> None:
    assert [rank["lonely"] for rank in ranks] == [{"pointer": 3, "filled": 3}] * 2


def test_the_metrics_are_over_the_pairs_of_both_ranks(ranks: Ranks, output: Path) -> None:
    first, second = ranks
    trained = read_trained(output / "last.ckpt")
    pairs = lists_of(trained.config.data, "stage1", output.parent / "data").validation
    alone = evaluate(trained, pairs).results["full"]

    assert first["metrics"] == second["metrics"]
    expected = average_precision(alone)
    assert expected.ap > 0
    assert first["metrics"]["validation/ap"] == pytest.approx(expected.ap, rel=1e-4)
    halves = [average_precision(alone[rank::2]).ap for rank in (0, 1)]
    for half in halves:
        assert half != pytest.approx(expected.ap, rel=1e-2)


def test_the_rate_is_scaled_by_the_pairs_of_all_ranks(ranks: Ranks) -> None:
    for rank in ranks:
        assert rank["lr"] == pytest.approx(1e-9 * 2 * 2 / 8)
        assert rank["step"] == 12 // 2 // 2


def test_what_is_said_is_said_once(output: Path) -> None:
    said = (output / "stderr.txt").read_text()

    assert said.count("started from the checkpoint") == 1
    # torch tells on its own that a term was there in the first step; other steps may lack it.
    assert "UserWarning" not in said
    assert "recommended" not in said  # a number of each rank by itself
