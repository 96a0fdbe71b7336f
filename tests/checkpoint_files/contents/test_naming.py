"""Entries of an optimizer find their parameters, or it is said that they cannot."""

import itertools
import random

from stepscope.checkpoint_files.contents.naming import aligned, alike


def every_reading(group: list[tuple[int, ...]], shapes: list[tuple[int, ...]]) -> list[set[int]]:
    """Return, for each entry, every place it takes in any subsequence: by trying them all."""
    places: list[set[int]] = [set() for _ in group]
    for chosen in itertools.combinations(range(len(shapes)), len(group)):
        if all(shapes[at] == shape for at, shape in zip(chosen, group, strict=True)):
            for at, place in enumerate(chosen):
                places[at].add(place)
    return places


def test_the_choices_are_those_of_every_subsequence_of_equal_shapes() -> None:
    dice = random.Random(0)  # noqa: S311
    for _ in range(300):
        shapes = [dice.choice([(2,), (3,), (2, 2)]) for _ in range(dice.randint(1, 8))]
        kept = sorted(dice.sample(range(len(shapes)), dice.randint(1, len(shapes))))
        group = [shapes[at] for at in kept]
        found = aligned([group], shapes)
        assert [set(each) for each in found.choices[0]] == every_reading(group, shapes)


def test_frozen_parameters_that_are_left_out_do_not_shift_the_names() -> None:
    shapes = [(8, 3), (8,), (8, 8), (8,), (4, 8), (4,)]
    assert aligned([[(4, 8), (4,)]], shapes).choices == (((4,), (5,)),)


def test_layers_of_one_shape_of_which_some_are_frozen_are_not_unique() -> None:
    assert aligned([[(4, 4)]], [(4, 4), (4, 4)]).choices == (((0, 1),),)


def test_what_one_group_holds_for_certain_is_taken_from_the_others() -> None:
    shapes = [(4,), (4, 4), (4,)]
    found = aligned([[(4,), (4, 4)], [(4,)]], shapes)
    assert found.choices == (((0,), (1,)), ((2,),))


def test_an_entry_without_state_may_be_any_parameter_between_its_neighbours() -> None:
    found = aligned([[(2,), None, (3,)]], [(2,), (5,), (6,), (3,)])
    assert found.choices == (((0,), (1, 2), (3,)),)


def test_shapes_that_the_model_has_not_give_no_names() -> None:
    found = aligned([[(9, 9)]], [(4, 4)])
    assert not found.is_possible


def test_without_an_order_only_a_shape_that_is_there_once_is_a_name() -> None:
    assert alike([(2, 3), (2,)], [(2,), (2, 3), (2,)]) == [(1,), (0, 2)]
