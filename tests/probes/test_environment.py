"""Warnings, log records and loaders are noted, and reach whoever they were meant for."""

import logging
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from stepscope.evidence.environment import Environment, Loaders, Messages
from stepscope.probes.environment import EnvironmentProbe, LoadersProbe, MessagesProbe
from stepscope.probes.observation import Observation


def test_warnings_are_counted_by_line_and_still_shown() -> None:
    observation = Observation([MessagesProbe])
    with warnings.catch_warnings(record=True) as shown, observation:
        warnings.simplefilter("always")
        for number in range(3):
            warnings.warn(f"number {number}", UserWarning, stacklevel=1)
    assert [str(each.message) for each in shown] == ["number 0", "number 1", "number 2"]
    (messages,) = observation.evidence
    assert isinstance(messages, Messages)
    (message,) = messages.messages
    assert (message.kind, message.text, message.count) == ("UserWarning", "number 0", 3)
    assert message.at.file == __file__


def test_log_records_from_warning_on_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    observation = Observation([MessagesProbe])
    logger = logging.getLogger("a.trainer")
    with observation:
        logger.info("not this")
        logger.warning("%d of %d keys", 3, 5)
    assert [record.getMessage() for record in caplog.records][-1] == "3 of 5 keys"
    (messages,) = observation.evidence
    assert isinstance(messages, Messages)
    assert [(m.kind, m.source, m.text) for m in messages.messages] == [
        ("WARNING", "a.trainer", "3 of 5 keys")
    ]


def test_a_loader_is_described_and_its_batches_counted() -> None:
    observation = Observation([LoadersProbe])
    data = TensorDataset(torch.arange(10))
    with observation:
        loader = DataLoader(data, batch_size=4, shuffle=True)
        for _ in range(2):
            list(loader)
        DataLoader(data)  # never asked for a batch
    (loaders,) = observation.evidence
    assert isinstance(loaders, Loaders)
    (seen,) = loaders.loaders
    assert (seen.dataset, seen.size, seen.batch_size, seen.batches) == ("TensorDataset", 10, 4, 6)
    assert (seen.shuffled, seen.drop_last, seen.workers) == (True, False, 0)
    assert seen.at.file == __file__


def test_the_device_of_what_is_trained_is_named() -> None:
    observation = Observation([EnvironmentProbe])
    with observation:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
        optimizer.step()
    (environment,) = observation.evidence
    assert isinstance(environment, Environment)
    assert environment.devices == ("cpu",)
    assert environment.torch == torch.__version__
