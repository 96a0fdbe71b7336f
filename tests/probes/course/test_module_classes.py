"""A class is the program's, a library's or torch's, and all classes below one are found."""

import logging

import torch
from torch import nn

from stepscope.probes.course.module_classes import below, origin_of
from stepscope.probes.source_lines import LIBRARY, MACHINERY, PROGRAM


class Own(nn.Linear):
    pass


def test_whose_a_class_is_is_told_by_the_file_that_defines_it() -> None:
    assert origin_of(Own) == PROGRAM
    assert origin_of(torch.nn.Linear) == MACHINERY
    assert origin_of(logging.Logger) == LIBRARY


def test_classes_are_found_at_any_depth() -> None:
    class Deeper(Own):
        pass

    assert {Own, Deeper, nn.Linear} <= below(nn.Module)
    assert nn.Module not in below(nn.Module)
