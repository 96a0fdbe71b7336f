"""Two processes of one run: one folder, one report, and the rank is named."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from stepscope.adapters.how import settle
from stepscope.core import Status
from stepscope.recordings.reader import read
from stepscope.watching.reviewing import review
from stepscope.watching.watched import Plan, Watched
from tests.adapters.company.ranks import RULES, Ran, run_ranks

MODEL = ((4, 8), (8, 2))


def wrapped(*, frozen: bool = False) -> tuple[DistributedDataParallel, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(*size) for size in MODEL))
    model[0].requires_grad_(not frozen)
    wrapper = DistributedDataParallel(model)
    model[0].requires_grad_(True)
    return wrapper, torch.optim.SGD(wrapper.parameters(), lr=0.1)


def steps(wrapper: nn.Module, optimizer: torch.optim.Optimizer, number: int, rank: int) -> None:
    torch.manual_seed(rank)
    for _ in range(number):
        optimizer.zero_grad()
        wrapper(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


def healthy(rank: int) -> None:
    steps(*wrapped(), 25, rank)


def diverging_for_ever(rank: int) -> None:
    wrapper, optimizer = wrapped(frozen=True)
    torch.manual_seed(rank)
    for step in itertools.count():
        steps(wrapper, optimizer, 1, rank)
        time.sleep(0.02)
        assert step < 2000, "it is stopped"


def failing_on_the_second(rank: int) -> None:
    wrapper, optimizer = wrapped()
    steps(wrapper, optimizer, 5, rank)
    if rank == 1:
        raise ValueError("a bad sample")
    steps(wrapper, optimizer, 20, rank)


def killed_on_the_second(rank: int) -> None:
    wrapper, optimizer = wrapped()
    steps(wrapper, optimizer, 5, rank)
    if rank == 0:
        raise RuntimeError("the other rank is gone")  # as a collective says, sooner or later
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def one_with_a_dead_part(rank: int) -> None:
    """Rank 1 alone has a part that it computes, and that reaches no loss."""
    wrapper, optimizer = wrapped()
    spare = nn.Linear(4, 2)
    optimizer.add_param_group({"params": spare.parameters()})
    for _ in range(25):
        optimizer.zero_grad()
        loss = wrapper(torch.ones(8, 4)).square().mean()
        loss = loss + (0 if rank else 1) * spare(torch.ones(8, 4)).square().mean()
        loss.backward()
        optimizer.step()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def ran_well(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_ranks(tmp_path_factory.mktemp("well"), healthy)


def test_all_ranks_are_recorded_in_one_folder_and_the_first_reports(ran_well: Ran) -> None:
    assert ran_well.reported_by == (0,)
    assert ran_well.report["run"]["ranks"] == [0, 1]
    assert ran_well.report["run"]["steps"] == 25
    assert [each for each in ran_well.report["findings"] if each["severity"] != "note"] == []
    assert {each.name for each in ran_well.folder.glob("rank-*")} == {"rank-0", "rank-1"}
    assert json.loads((ran_well.folder / "run.json").read_text())["ranks"] == 2
    assert not list((ran_well.home / ".stepscope").glob("meeting-*"))
    assert not (ran_well.folder / "between-ranks").exists()


def test_equal_ranks_were_compared(ran_well: Ran) -> None:
    assert "DST001" in ran_well.report["passed"]


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_ranks(tmp_path_factory.mktemp("apart"), diverging_for_ever, on_error="stop")


def test_ranks_that_diverge_are_stopped_together(diverged: Ran) -> None:
    ran = diverged
    assert ran.found["DST001"]["ranks"] == [0, 1]
    assert ran.shown[0].count("error DST001") == 1
    assert "DST001" not in ran.shown[1]
    assert ran.report["run"]["ending"] == "finished"
    (stopped_at,) = {each.ended.step for each in read(ran.folder).ranks if each.ended}
    assert stopped_at == ran.report["run"]["steps"] > 20


def test_the_recording_says_the_same(diverged: Ran, ran_well: Ran) -> None:
    for ran in (diverged, ran_well):
        report = review(read(ran.folder), settle(folder=ran.home).terms)
        (outcome,) = (each for each in report.outcomes if each.rule.code == "DST001")
        live = ran.found.get("DST001")
        assert (outcome.status is Status.FAILED) is (live is not None)
        assert [each.measured for each in outcome.findings] == ([live["measured"]] if live else [])


def test_a_rank_that_fails_while_the_first_waits_for_it_reports(tmp_path: Path) -> None:
    ran = run_ranks(tmp_path, failing_on_the_second)
    assert ran.reported_by == (1,)
    assert "rank 1" in ran.report["run"]["error"]
    assert any("rank 0 did not" in note for note in ran.report["notes"])


def test_of_a_rank_that_is_killed_the_first_says_so_although_it_is_to_end_too(
    tmp_path: Path,
) -> None:
    with pytest.raises(torch.multiprocessing.ProcessExitedException, match="SIGKILL"):
        run_ranks(tmp_path, killed_on_the_second)  # the launcher sends SIGTERM to the first
    report = json.loads((tmp_path / "report-0.json").read_text())
    assert any("rank 1 did not come to its end" in note for note in report["notes"])
    assert report["run"]["steps"] == 5


def test_what_one_rank_finds_is_shown_by_the_first_with_its_rank(tmp_path: Path) -> None:
    ran = run_ranks(tmp_path, one_with_a_dead_part)
    mine = [code for code, each in ran.found.items() if each["ranks"] == [1]]
    assert mine
    assert all("rank 1, step" in ran.shown[0] and code in ran.shown[0] for code in mine)
    assert ran.shown[1] == ""


def sharded() -> tuple[nn.Module, torch.optim.Optimizer]:
    return _sharded(init_device_mesh("cpu", (2,)))


def hybrid() -> tuple[nn.Module, torch.optim.Optimizer]:
    return _sharded(init_device_mesh("cpu", (2, 1), mesh_dim_names=("replicate", "shard")))


def _sharded(mesh: DeviceMesh) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(*size) for size in MODEL))
    for layer in model:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


def sharded_as_before() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = FullyShardedDataParallel(
        nn.Sequential(*(nn.Linear(*size) for size in MODEL)),
        auto_wrap_policy=ModuleWrapPolicy({nn.Linear}),
        use_orig_params=True,
        device_id=torch.device("cpu"),
    )
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


WAYS = {each.__name__: each for each in (wrapped, sharded, hybrid, sharded_as_before)}


def state(rank: int, way: str) -> dict[str, torch.Tensor]:
    model, optimizer = WAYS[way]()
    steps(model, optimizer, 40, rank)
    held = {
        name: p.to_local() if isinstance(p, DTensor) else p for name, p in model.named_parameters()
    }
    return {**held, "random": torch.get_rng_state()}


def twice(rank: int, folder: str, way: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    alone = state(rank, way)
    watched = Watched("train.py", rules=RULES, plan=Plan(every=1, at=(10,)))
    with watched:
        beside = state(rank, way)
    assert watched.faults == []
    assert watched.windows_judged == 2
    outcomes = watched.outcomes()
    assert [each for each in outcomes if each.status is Status.CRASHED] == []
    assert [each.rule.code for each in outcomes if each.findings] == []
    for name, value in alone.items():
        assert torch.equal(value, beside[name]), name
    distributed.destroy_process_group()


@pytest.mark.parametrize("way", WAYS)
def test_watching_changes_no_bit_of_what_ranks_compute(tmp_path: Path, way: str) -> None:
    torch.multiprocessing.start_processes(
        twice, args=(str(tmp_path), way), nprocs=2, start_method="fork"
    )
