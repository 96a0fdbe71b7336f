"""The help comes without torch, without rich and without the rules."""

import subprocess
import sys

import pytest

PROGRAM = """\
import sys
{before}
from stepscope.cli import main
sys.argv = {arguments}
try:
    main()
except SystemExit:
    pass
loaded = [name for name in {names} if name in sys.modules]
print("LOADED", *loaded)
"""


def loaded(arguments: list[str], names: list[str], before: str = "") -> list[str]:
    program = PROGRAM.format(before=before, arguments=["stepscope", *arguments], names=names)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["check", "--help"],
        ["freeze", "--help"],
        ["inspect", "--help"],
        ["rule", "--help"],
        ["--version"],
    ],
)
def test_help_loads_neither_torch_nor_what_is_slow(arguments: list[str]) -> None:
    assert loaded(arguments, ["torch", "rich", "jinja2", "stepscope.catalogue"]) == []


def test_the_catalogue_is_read_without_torch() -> None:
    assert loaded(["rule", "OPT001"], ["torch", "stepscope.catalogue"]) == ["stepscope.catalogue"]


def test_a_loaded_torch_would_be_seen() -> None:
    assert loaded(["--help"], ["torch"], before="import torch") == ["torch"]


def test_the_help_of_check_says_what_its_options_do() -> None:
    command = [sys.executable, "-m", "stepscope", "check", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = " ".join(done.stdout.split())
    assert "Do not count this rule's findings; they are still listed, with REASON." in said
    assert "Read [intent] and all other settings from FILE instead of the nearest" in said
