"""What is known of a wrapper, in one process and in two."""

import tempfile
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from stepscope.core import Recording, Severity, Status, judge
from stepscope.evidence.distributed import Distributed, Wrapper
from stepscope.probes.distributed import DistributedProbe
from stepscope.probes.observation import Observation
from stepscope.probes.optimizers import OptimizersProbe
from stepscope.probes.parameters import ParametersProbe
from stepscope.rules.distributed.frozen_after_wrapping import frozen_after_wrapping
from stepscope.rules.distributed.module_called_around_wrapper import module_called_around_wrapper
from stepscope.rules.distributed.unused_parameters import unused_parameters

WARNING = Severity.WARNING


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Linear(4, 1)
        self.spare = nn.Linear(4, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.main(values)
        return out

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        return self.forward(values)


@pytest.fixture
def _one_process() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def watch(
    forward: Callable[[DistributedDataParallel], torch.Tensor], model: nn.Module | None = None
) -> Recording:
    observation = Observation([DistributedProbe, OptimizersProbe], steps=1000)
    with observation:
        wrapper = DistributedDataParallel(model or Model(), find_unused_parameters=True)
        optimizer = torch.optim.SGD(wrapper.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            forward(wrapper).sum().backward()
            optimizer.step()
    assert observation.run.faults == []
    return Recording(*observation.evidence)


def wrapper_of(recording: Recording) -> Wrapper:
    found = recording.get(Distributed)
    assert found is not None
    (wrapper,) = found.wrappers
    return wrapper


@pytest.mark.usefixtures("_one_process")
def test_a_wrapper_names_what_it_reduces_and_what_nobody_reaches() -> None:
    recording = watch(lambda wrapper: wrapper(torch.ones(2, 4)))
    wrapper = wrapper_of(recording)
    assert wrapper.parameters == ("main.weight", "main.bias", "spare.weight", "spare.bias")
    assert (wrapper.find_unused_parameters, wrapper.bypassed_at) == (True, None)
    (outcome,) = judge([unused_parameters], recording)
    assert [finding.subject for finding in outcome.findings] == ["spare (2 of 2 parameters)"]


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize(
    "forward",
    [
        lambda wrapper: wrapper.module(torch.ones(2, 4)),
        lambda wrapper: wrapper.module.encode(torch.ones(2, 4)),
    ],
)
def test_a_forward_around_the_wrapper_is_seen(
    forward: Callable[[DistributedDataParallel], torch.Tensor],
) -> None:
    at = wrapper_of(watch(forward)).bypassed_at
    assert at is not None
    assert at.file == __file__


@pytest.mark.usefixtures("_one_process")
def test_an_evaluation_around_the_wrapper_is_not() -> None:
    def forward(wrapper: DistributedDataParallel) -> torch.Tensor:
        with torch.no_grad():
            wrapper.module(torch.ones(2, 4))
        out: torch.Tensor = wrapper(torch.ones(2, 4))
        return out

    assert wrapper_of(watch(forward)).bypassed_at is None


def thawed(freeze: Callable[[nn.Module], object], *, find: bool) -> tuple[Recording, int]:
    """Wrap, freeze, and train; return what was seen, and the bytes that DDP says it reduces."""
    observation = Observation([DistributedProbe, OptimizersProbe, ParametersProbe], steps=1000)
    with observation:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        wrapper = DistributedDataParallel(model, find_unused_parameters=find)
        optimizer = torch.optim.SGD(wrapper.parameters(), lr=0.1)
        freeze(model)
        for _ in range(2):
            optimizer.zero_grad()
            wrapper(torch.ones(2, 4)).sum().backward()
            optimizer.step()
    assert observation.run.faults == []
    return Recording(*observation.evidence), wrapper._get_ddp_logging_data()[
        "total_parameter_size_bytes"
    ]


@pytest.mark.usefixtures("_one_process")
def test_what_is_frozen_after_wrapping_is_still_reduced() -> None:
    recording, held = thawed(lambda model: model[0].requires_grad_(False), find=True)  # type: ignore[index]
    wrapper = wrapper_of(recording)
    assert wrapper.parameters == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert wrapper.made_at.file == __file__
    (outcome,) = judge([frozen_after_wrapping], recording)
    (finding,) = outcome.findings
    assert (finding.subject, outcome.severity(finding)) == ("0 (2 of 2 parameters)", WARNING)
    assert f"{4 * (16 + 4)} of {held} bytes" in finding.measured
    (outcome,) = judge([unused_parameters], recording)
    assert outcome.findings == ()


@pytest.mark.usefixtures("_one_process")
def test_a_wrapper_that_waits_for_what_is_frozen_does_raise() -> None:
    with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
        thawed(lambda model: model[0].requires_grad_(False), find=False)  # type: ignore[index]


@pytest.mark.usefixtures("_one_process")
def test_what_was_frozen_before_wrapping_is_not_reduced() -> None:
    model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 1))
    recording = watch(lambda wrapper: wrapper(torch.ones(2, 4)), model)
    assert wrapper_of(recording).parameters == ("1.weight", "1.bias")


def two_processes(rank: int, folder: str) -> None:
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.set_num_threads(1)
    for around, expected in ((True, Status.FAILED), (False, Status.PASSED)):
        recording = watch(lambda w, around=around: (w.module if around else w)(torch.ones(2, 4)))  # type: ignore[misc]
        (outcome,) = judge([module_called_around_wrapper], recording)
        assert outcome.status is expected, outcome
    distributed.destroy_process_group()


def test_in_two_processes_the_bypass_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            two_processes, args=(folder,), nprocs=2, start_method="fork"
        )
