"""What the globs of an intent mean."""

import pytest

from stepscope.evidence.intent import matches


@pytest.mark.parametrize(
    ("name", "glob", "is_meant"),
    [
        ("experts.[0].weight", "experts.[0].weight", True),
        ("experts.[0].weight", "experts.[0]", True),
        ("experts.[01].weight", "experts.[0]", False),
        ("experts.0.weight", "experts.[0]", True),  # still a glob, too
        ("experts.0.weight", "experts.[1]", False),
        ("neck.0.weight", "neck", True),
        ("necklace.0.weight", "neck", False),
        ("neck.0.weight", "n*.weight", True),
    ],
)
def test_a_name_to_the_letter_is_meant_and_all_below_it_or_what_the_glob_matches(
    name: str, glob: str, *, is_meant: bool
) -> None:
    assert matches(name, (glob,)) == is_meant
