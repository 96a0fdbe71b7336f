"""A data set is a test set where the program calls it so, and nothing calls it otherwise."""

import weakref
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from stepscope.probes.course.declared_test_sets import TEST, called_test


class Split(Dataset[Any]):
    def __init__(self, **said: str) -> None:
        vars(self).update(said)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return index


def data() -> TensorDataset:
    return TensorDataset(torch.ones(2))


def evaluate(loader: DataLoader[Any]) -> str:
    return called_test(loader.dataset)


def test_a_variable_of_a_caller_names_the_loader() -> None:
    test_loader = DataLoader(data())
    assert evaluate(test_loader) == "test_loader"


def test_a_variable_names_the_data_set() -> None:
    testset = data()
    assert called_test(testset) == "testset"
    del testset


def test_a_key_of_a_dictionary_names_the_loader() -> None:
    loaders = {"val": DataLoader(data()), "test": DataLoader(data())}
    assert [evaluate(loader) for loader in loaders.values()] == ["", "test"]


def test_an_attribute_names_the_loader() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.test_loader = DataLoader(data())

        def evaluate(self) -> str:
            return evaluate(self.test_loader)

    assert Trainer().evaluate() == "test_loader"


def test_two_names_that_differ_say_nothing() -> None:
    test_loader = val_loader = DataLoader(data())
    assert not evaluate(test_loader)
    del val_loader


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"split": "test"}, "split='test'"),
        ({"split": "val"}, ""),
        ({"mode": "testing"}, "mode='testing'"),
        ({"root": "/home/test/data"}, ""),
        ({}, ""),
    ],
)
def test_a_data_set_may_say_its_split(said: dict[str, str], expected: str) -> None:
    assert called_test(Split(**said)) == expected


@pytest.mark.parametrize("name", ["latest_loader", "contest", "loader", "fastest_set"])
def test_words_that_end_alike_are_none(name: str) -> None:
    assert not TEST.search(name)


def test_looking_keeps_no_variable_alive() -> None:
    test_loader = DataLoader(data())
    held = weakref.ref(test_loader)
    assert evaluate(test_loader) == "test_loader"
    del test_loader
    assert held() is None
