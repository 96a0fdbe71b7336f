"""The conventions of the catalogue, kept by a test and not by reviewers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepscope.catalogue import every_rule, examples, main, page
from stepscope.core import Rule

RULES = every_rule()
HEADINGS = ["What it proves", "Why it matters", "What to do", "Limits", "Sources"]


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES) > 0
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_rule_keeps_the_conventions(rule: Rule) -> None:
    stem = rule.module.__name__.rpartition(".")[2]
    names = [name for name, _ in examples(rule)]
    assert re.fullmatch(r"[A-Z]{3}\d{3}", rule.code)
    assert rule.judge.__name__ == stem, "the file bears the name of its rule"
    assert re.findall(r"^## (.+)$", rule.page, re.MULTILINE) == HEADINGS
    assert any(name.startswith("fails_") for name in names)
    assert any(name.startswith("passes_") for name in names)
    assert rule.name in page(rule)


def test_the_catalogue_needs_no_torch() -> None:
    found = "from stepscope.catalogue import every_rule; import sys; assert every_rule()"
    for statement, expected in [(found, "False"), (f"import torch; {found}", "True")]:
        code = f"{statement}; print('torch' in sys.modules)"
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == expected


def test_a_page_that_was_edited_by_hand_is_noticed(tmp_path: Path) -> None:
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "index.md").write_text("# Rules\n")
    assert main(["--check"], tmp_path) == 1
