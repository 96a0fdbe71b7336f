"""The record is what the logger wrote."""

import csv
from pathlib import Path

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.pictures.training_record import read_record


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_each_quantity_has_the_steps_at_which_it_was_logged(tmp_path: Path) -> None:
    path = written(
        tmp_path / "metrics.csv",
        "epoch,raw/loss_cls,step,validation/ap\n0,0.5,9,\n0,,9,0.25\n1,nan,19,\n1,inf,29,\n",
    )
    record = read_record(path)
    steps, values = record["raw/loss_cls"]
    assert steps.tolist() == [9, 19, 29]
    assert values[0] == 0.5
    assert np.isnan(values[1])
    assert np.isinf(values[2])
    assert [each.tolist() for each in record["validation/ap"]] == [[9], [0.25]]
    assert "step" not in record


@pytest.mark.corpus
def test_what_lightnings_logger_writes_is_read_back(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path, name="", version="csv")
    logger.log_metrics({"loss/total": 1.5}, step=0)
    logger.log_metrics({"loss/total": 1.25, "lr-AdamW": 1e-3}, step=5)
    logger.save()
    record = read_record(tmp_path / "csv" / "metrics.csv")
    assert [each.tolist() for each in record["loss/total"]] == [[0, 5], [1.5, 1.25]]
    assert [each.tolist() for each in record["lr-AdamW"]] == [[5], [1e-3]]


def test_a_resumed_run_is_one_record_in_which_the_later_file_counts(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", "step,loss\n0,3\n10,2\n20,9\n")
    second = written(tmp_path / "b.csv", "step,loss\n20,1.5\n30,1\n")
    steps, values = read_record(first, second)["loss"]
    assert steps.tolist() == [0, 10, 20, 30]
    assert values.tolist() == [3, 2, 1.5, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has the columns a, b; expected `step`"),
        ("", "has the columns none; expected `step`"),
        ("step,loss\n0,1\n1,low\n", "line 3 holds 'low'; expected a number"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "metrics.csv", text)
    with pytest.raises(ValueError, match=said):
        read_record(path)


def test_a_file_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"metrics\.csv"):
        read_record(tmp_path / "metrics.csv")


def test_an_empty_cell_is_not_a_zero(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["step", "a", "b"], [0, "", 1], [1, 2, ""]])
    record = read_record(path)
    assert record["a"][0].tolist() == [1]
    assert record["b"][0].tolist() == [0]
