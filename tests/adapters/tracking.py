"""Runs of Weights & Biases and MLflow without any server, read back by the libraries' own means."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WITHOUT_SERVER = {
    "WANDB_MODE": "offline",
    "WANDB_CONSOLE": "off",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def tracked(folder: Path) -> Iterator[None]:
    """Have both write below a folder, and end what is left open there."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WITHOUT_SERVER.items():
            patch.setenv(name, value)
        patch.setenv("WANDB_DIR", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
        try:
            yield
        finally:
            if "wandb" in sys.modules:
                sys.modules["wandb"].teardown()
            if "mlflow" in sys.modules:
                mlflow = sys.modules["mlflow"]
                mlflow.end_run()
                mlflow.set_tracking_uri(None)


@dataclass(frozen=True)
class Logged:
    """What a run of Weights & Biases has written."""

    rows: tuple[dict[str, Any], ...]  # of its history, without times
    summary: dict[str, Any]

    @property
    def texts(self) -> dict[str, str]:
        """What is ours in it."""
        return {name: text for name, text in self.summary.items() if name.startswith("stepscope")}


def logged_below(folder: Path) -> Logged:
    """Read the one offline run below a folder, which must have been finished."""
    (file,) = folder.rglob("*.wandb")
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(read, capture_output=True, text=True, check=True, timeout=60)
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["type"] == "history":
            items = record["history"]["item"]
            timed = ("_runtime", "_timestamp", "_wandb")
            rows.append({name: items[name] for name in sorted(items) if name not in timed})
        elif record["type"] == "summary":
            summary |= record["summary"].get("update", {})
    return Logged(tuple(rows), summary)


def tags_below(folder: Path) -> dict[str, str]:
    """Read what is ours among the tags of the one run of MLflow below a folder."""
    import mlflow

    client = mlflow.MlflowClient((folder / "mlruns").as_uri())
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    tags: dict[str, str] = run.data.tags
    return {name: text for name, text in tags.items() if name.startswith("stepscope")}
