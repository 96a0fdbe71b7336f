"""`stepscope train SYSTEM ...`."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from stepscope.cli import app

# A module that is None in sys.modules is found by no import.
WITHOUT = """\
import sys
sys.modules[{module!r}] = None
from stepscope.cli import main
sys.argv = ["stepscope", "train", "rgbt-detection", *{arguments!r}]
main()
"""


def test_without_a_system_they_are_listed() -> None:
    done = CliRunner().invoke(app, ["train"])

    assert done.exit_code == 0
    assert "rgbt-detection" in done.stdout.splitlines()


def test_an_unknown_system_is_refused_and_the_known_ones_are_named() -> None:
    done = CliRunner().invoke(app, ["train", "rgbt"])

    assert done.exit_code == 2
    assert "there is no system 'rgbt'; there are: rgbt-detection" in done.stderr


@pytest.mark.corpus
def test_what_follows_the_system_is_its_own() -> None:
    listed = CliRunner().invoke(app, ["train", "rgbt-detection", "--help"])
    refused = CliRunner().invoke(app, ["train", "rgbt-detection", "stage3"])

    assert listed.exit_code == 0
    assert "synthesise" in listed.stdout
    assert refused.exit_code == 2
    assert "did you mean stage2?" in refused.stderr


@pytest.mark.parametrize(
    ("module", "arguments"), [("jsonargparse", ["--help"]), ("lightning", ["stage1"])]
)
def test_a_dependency_that_is_missing_is_named_with_what_installs_it(
    module: str, arguments: list[str]
) -> None:
    program = WITHOUT.format(module=module, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"stepscope: rgbt-detection needs {module}")
    assert done.stderr.endswith("which is not installed; pip install 'stepscope[systems]'\n")
    assert done.stderr.count("\n") == 1
