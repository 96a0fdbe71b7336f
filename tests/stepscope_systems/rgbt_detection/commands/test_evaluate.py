"""`evaluate`, as it is typed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.checkpoints import read_config, write_config
from stepscope_systems.rgbt_detection.command import main
from stepscope_systems.rgbt_detection.config import Config
from tests.stepscope_systems.rgbt_detection.data.trees import bbgt, kaist

pytestmark = pytest.mark.corpus
LINE = bbgt("person 4 5 16 35 0 0 0 0 0 0 0")


@pytest.fixture
def checkpoint(stage1: Path, tmp_path: Path) -> Path:
    """Return a checkpoint that was taken away from the folder of its runs."""
    return copied(
        stage1,
        tmp_path / "own",
        lambda config: replace(config, data=replace(config.data, train_pairs=1, test_pairs=4)),
    )


def copied(run: Path, folder: Path, changed: Callable[[Config], Config]) -> Path:
    folder.mkdir()
    shutil.copy(run / "best.ckpt", folder)
    config, stage = read_config(run / "config.yaml")
    write_config(folder, changed(config), stage)
    return folder / "best.ckpt"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *arguments])
    assert left.value.code == 2
    return capsys.readouterr().err


def test_a_data_set_of_test_pairs_alone_can_be_evaluated_on(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaist(tmp_path / "kaist", "annotations_KAIST_test_set", {"set06_V000_I00019": LINE})
    data = ["--data", f"kaist:{tmp_path / 'kaist'}", "--variant", "improved-test"]
    assert main(["evaluate", str(checkpoint), *data, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["dataset"] for row in rows} == {"KAIST test"}
    assert [row["method"] for row in rows if row["condition"] == "all"] == [
        "full",
        "full without infrared",
        "full without visible",
        "full without gates",
    ]


def test_synthetic_pairs_that_are_not_there_are_drawn_beside_the_report(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report"
    baseline = ["--baseline", f"visible only={checkpoint}"]
    assert main(["evaluate", str(checkpoint), "--output", str(output), *baseline]) == 0
    said = capsys.readouterr().out
    assert "visible only" in said
    assert "Not measured, so the gain of fusion is open: infrared only, plain sum." in said
    assert sorted(each.name for each in output.iterdir()) == ["data", "report.html"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variant", "paired"], "data.variant is 'paired'; the synthetic set has none"),
        (["--baseline", "alone"], "--baseline is 'alone'; expected NAME=CHECKPOINT"),
        (["--baseline", "=best.ckpt"], "expected NAME=CHECKPOINT"),
        (["--baseline", "full=best.ckpt"], "as rows of the checkpoint itself are"),
        (["--baseline", "alone=/nowhere/best.ckpt"], "/nowhere/best.ckpt is not there"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    checkpoint: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused([str(checkpoint), *options], capsys)


def test_a_baseline_that_is_judged_by_other_boxes_is_refused(
    checkpoint: Path, stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(
        stage1,
        tmp_path / "other",
        lambda config: replace(config, data=replace(config.data, eval_boxes="union")),
    )
    said = refused([str(checkpoint), "--baseline", f"alone={other}"], capsys)
    assert f"{other} is judged by union boxes, and {checkpoint} by visible ones" in said
