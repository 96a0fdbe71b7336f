"""Models that a function of the user's makes."""

import sys
from pathlib import Path

import pytest
import torch

from stepscope.adapters.built import built, default_loss


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_models.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def alone(): return nn.Linear(3, 2)\n"
        "def fed(): return nn.Linear(3, 2), torch.ones(4, 3)\n"
        "def whole(): return nn.Linear(3, 2), (torch.ones(4, 3),), lambda out: out.sum()\n"
        "def elsewhere(): return nn.Linear(3, 2, device='meta')\n"
        "def wrong(): return 'a model'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    return "my_models"


def test_inputs_and_loss_are_taken_from_the_function_or_made(module: str) -> None:
    model, inputs, loss = built(f"{module}:alone", (5, 3))
    assert inputs[0].shape == (5, 3)
    assert loss(model(*inputs)).requires_grad
    assert built(f"{module}:elsewhere", (5, 3))[1][0].device.type == "meta"
    model, inputs, loss = built(f"{module}:fed", ())
    assert inputs[0].shape == (4, 3)
    model, inputs, loss = built(f"{module}:whole", ())
    assert float(loss(torch.ones(3))) == 3


def test_what_is_missing_or_wrong_is_named(module: str) -> None:
    with pytest.raises(ValueError, match="returns no inputs; say their shape"):
        built(f"{module}:alone", ())
    with pytest.raises(TypeError, match="returned str; expected a module"):
        built(f"{module}:wrong", (1,))


def test_a_loss_is_made_of_what_a_model_returns() -> None:
    ones = torch.ones(2)
    assert float(default_loss(3 * ones)) == 9
    assert float(default_loss({"loss": ones.sum(), "logits": ones})) == 2
    assert float(default_loss({"loss_a": ones[0], "loss_b": 2 * ones[1]})) == 3
    assert float(default_loss([{"boxes": ones, "labels": torch.ones(1, dtype=torch.int64)}])) == 1
