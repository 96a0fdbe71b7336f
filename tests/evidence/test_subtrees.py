"""Many parameters are named by the parts of the model that hold them."""

import pytest

from stepscope.evidence.subtrees import subtrees

MODEL = tuple(
    f"{child}.{part}" for child in ("stem", "body", "neck", "head") for part in ("weight", "bias")
)


def of(*children: str) -> tuple[str, ...]:
    return tuple(name for name in MODEL if name.partition(".")[0] in children)


@pytest.mark.parametrize(
    ("chosen", "subjects"),
    [
        (of("stem", "body", "neck"), ["all but head (6 of 8 parameters)"]),
        (of("stem", "body"), ["all but neck, head (4 of 8 parameters)"]),
        (MODEL, ["the model (8 of 8 parameters)"]),
        (of("body"), ["body (2 of 2 parameters)"]),
        (("body.weight",), ["body.weight"]),
        (("stem.bias", "body.bias", "neck.bias", "head.bias"), ["the model (4 of 8 parameters)"]),
        (("stem.bias", "body.bias"), ["stem.bias", "body.bias"]),
    ],
)
def test_a_subject_names_what_is_chosen(chosen: tuple[str, ...], subjects: list[str]) -> None:
    assert [tree.subject for tree in subtrees(chosen, MODEL)] == subjects


def test_many_subtrees_are_summed_up_by_the_module_above_them() -> None:
    names = [f"net.{i}.{part}" for i in range(20) for part in "abc"]
    (tree,) = subtrees([name for name in names if name.endswith("a")], names)
    assert tree.subject == "net (20 of 60 parameters)"
