"""The index finds what asking every name finds."""

from hypothesis import given
from hypothesis import strategies as st

from stepscope.evidence.below import Below
from stepscope.evidence.parameters import is_below

parts = st.lists(st.sampled_from(["a", "a1", "b", "b-c", "0", "10"]), max_size=4).map(".".join)


@given(names=st.lists(parts, max_size=20), module=parts)
def test_names_below_a_module_are_found_in_their_order(names: list[str], module: str) -> None:
    asked = [i for i, name in enumerate(names) if is_below(name, module)]
    assert Below(names).positions(module) == asked
