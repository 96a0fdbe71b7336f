"""What is left in the environment for what a program starts."""

import os

import pytest

from stepscope.inherited import LAUNCHED, WITHIN, marker, read_marker


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("train.py", WITHIN),
        ("-m package.train", WITHIN),
        ("-m torchvision_training", WITHIN),
        ("-m torch.distributed.run", LAUNCHED),
        ("/venv/bin/accelerate", LAUNCHED),
    ],
)
def test_a_launcher_says_that_all_it_starts_may_train(program: str, kind: str) -> None:
    written = marker(program, "/a/b:c")
    assert written.startswith(kind)
    assert read_marker(written) == (os.getpid(), "/a/b:c")
