"""What a program computes is the same, bit for bit, whether it is recorded or not."""

from pathlib import Path

import pytest

from bench.bit_exactness import differences, ending
from bench.corpus import Program, healthy

pytestmark = pytest.mark.corpus


@pytest.mark.parametrize("program", healthy(), ids=lambda program: program.name)
def test_recording_changes_no_bit(program: Program, tmp_path: Path) -> None:
    plain = ending(program, "plain", tmp_path)
    recorded = ending(program, "recorded", tmp_path)
    assert recorded["steps"] >= 1
    assert recorded["faults"] == []
    assert differences(plain, recorded) == []


def test_one_draw_of_a_random_number_is_noticed(tmp_path: Path) -> None:
    quiet, disturbed = tmp_path / "quiet.py", tmp_path / "disturbed.py"
    quiet.write_text("import torch\nnet = torch.nn.Dropout()\nnet(torch.ones(8))\n")
    disturbed.write_text(quiet.read_text() + "torch.rand(1)\n")
    first = ending(Program(quiet), "plain", tmp_path)
    second = ending(Program(disturbed), "plain", tmp_path)
    assert differences(first, first) == []
    assert differences(first, second) == ["torch_random"]
