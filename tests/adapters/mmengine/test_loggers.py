"""Findings where a Runner of MMEngine reports to."""

from pathlib import Path

import pytest

from tests.adapters.mmengine.test_watching import run, watching
from tests.adapters.tracking import logged_below, tracked

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
wandb = pytest.importorskip("wandb")
pytest.importorskip("mmengine")


def test_the_backend_of_its_visualizer_has_them(tmp_path: Path) -> None:
    backends = [{"type": "WandbVisBackend", "init_kwargs": {"project": "test"}}]
    with tracked(tmp_path):
        run(
            [watching(tmp_path)],
            tmp_path / "out",
            visualizer={"type": "Visualizer", "vis_backends": backends},
            optim_wrapper={
                "optimizer": {"type": "AdamW", "lr": 0.01},
                "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.0}}},
            },
        )
        wandb.finish()
    assert ": error frozen-by-zero-lr: backbone" in logged_below(tmp_path).texts["stepscope/FRZ001"]
