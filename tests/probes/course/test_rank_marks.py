"""What ranks note alike, and what the rules make of it, in two gloo processes."""

import io
import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from stepscope.core import Recording, Rule, Severity, Status, judge
from stepscope.core.report import Outcome
from stepscope.evidence.course.across_ranks import across, shared_part
from stepscope.evidence.course.course import Course
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.rank_marks import RankMarks
from stepscope.evidence.course.replicas import Replicas
from stepscope.evidence.kinds import every_kind
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.rank_marks import RankSampler, is_marked, parts
from stepscope.rules.distributed.ranks_diverge import ranks_diverge
from stepscope.rules.distributed.same_data_on_ranks import same_data_on_ranks
from stepscope.rules.distributed.statistics_not_synchronised import statistics_not_synchronised

Scenario = Callable[[int], None]
DATA = TensorDataset(torch.arange(64.0).reshape(16, 4).sin(), torch.arange(16) % 2)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def train(
    model: nn.Module, loader: DataLoader[Any], *, epochs: int = 3, optimizer: Any = None
) -> None:
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        if isinstance(loader.sampler, DistributedSampler):
            loader.sampler.set_epoch(epoch)
        model.train()
        for values, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(values), labels).backward()
            optimizer.step()


def divided() -> DataLoader[Any]:
    return DataLoader(DATA, 2, sampler=DistributedSampler(DATA))


def equal(rank: int) -> None:
    train(DistributedDataParallel(net()), divided())


def thawed_after_wrapping(rank: int) -> None:
    model = net()
    model[0].requires_grad_(False)
    wrapper = DistributedDataParallel(model)
    model[0].requires_grad_(True)
    train(wrapper, divided())


def an_extra_optimizer_on_one_rank(rank: int) -> None:
    if rank:
        probe = nn.Linear(1, 1)
        mine = torch.optim.SGD(probe.parameters(), lr=0.1)
        for _ in range(3):
            probe(torch.ones(1, 1)).sum().backward()
            mine.step()
    equal(rank)


def averaged_now_and_then(rank: int) -> None:
    from torch.distributed.algorithms.ddp_comm_hooks import post_localSGD_hook as local

    wrapper = DistributedDataParallel(net())
    group = distributed.group.WORLD
    state = local.PostLocalSGDState(group, distributed.new_subgroups(1)[0], start_localSGD_iter=1)
    wrapper.register_comm_hook(state, local.post_localSGD_hook)
    train(wrapper, divided())


def averaged_by_a_loop(rank: int) -> None:
    from torch.distributed.algorithms.model_averaging import averagers

    averager = averagers.PeriodicModelAverager(period=4)
    train(DistributedDataParallel(net()), divided())
    assert averager.step == 0


def after_averagers_were_loaded(rank: int) -> None:
    import torch.distributed.optim  # noqa: F401 - which loads them

    equal(rank)


def undivided(rank: int) -> None:
    train(DistributedDataParallel(net()), DataLoader(DATA, 2))


def sharded(rank: int) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    for layer in model:
        fully_shard(layer)
    train(model, DataLoader(DATA, 2))


def sharded_as_before(rank: int) -> None:
    model = FullyShardedDataParallel(
        nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)),
        auto_wrap_policy=ModuleWrapPolicy({nn.Linear}),
        device_id=torch.device("cpu"),
    )
    train(model, DataLoader(DATA, 2))


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))


def copies(names: tuple[str, str] = ("replicate", "shard")) -> Any:
    return init_device_mesh("cpu", (2, 1), mesh_dim_names=names)


def hybrid(rank: int) -> None:
    train(fully_shard(layers(), mesh=copies()), divided())


def copied_as_before(rank: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is said to be replaced by DistributedDataParallel
        model = FullyShardedDataParallel(
            layers(),
            sharding_strategy=ShardingStrategy.NO_SHARD,
            device_id=torch.device("cpu"),
        )
    train(model, divided())


def hybrid_from_other_seeds(rank: int) -> None:
    model = layers()
    nn.init.constant_(model[1].weight, rank)
    train(fully_shard(model, mesh=copies()), divided())


def hybrid_that_keeps_gradients_to_itself(rank: int) -> None:
    model = fully_shard(layers(), mesh=copies())
    model.set_requires_all_reduce(False)
    train(model, divided())


def hybrid_within_a_sample(rank: int) -> None:
    train(fully_shard(layers(), mesh=copies(("cp", "shard"))), DataLoader(DATA, 2))


def statistics_of_its_own(rank: int) -> None:
    wrapper = DistributedDataParallel(net())
    wrapper.broadcast_buffers = False  # as an argument it is deprecated, and newer ones are newer
    train(wrapper, divided())
    evaluate(wrapper.module)


def statistics_saved(rank: int) -> None:
    wrapper = DistributedDataParallel(net())
    wrapper.broadcast_buffers = False
    train(wrapper, divided())
    if rank == 0:
        torch.save({"model": wrapper.module.state_dict(), "epoch": 3}, io.BytesIO())
    torch.save({"epoch": torch.ones(())}, io.BytesIO())


def statistics_averaged(rank: int) -> None:
    wrapper = DistributedDataParallel(net())
    wrapper.broadcast_buffers = False
    train(wrapper, divided())
    for name, buffer in wrapper.module.named_buffers():
        if name.endswith(("mean", "var")):
            distributed.all_reduce(buffer)
            buffer.div_(2)
    evaluate(wrapper.module)


def evaluate(model: nn.Module) -> None:
    model.eval()
    with torch.no_grad():
        for values, _ in DataLoader(DATA, 8):
            model(values)


SCENARIOS = {
    each.__name__: each
    for each in (
        equal,
        thawed_after_wrapping,
        an_extra_optimizer_on_one_rank,
        averaged_now_and_then,
        averaged_by_a_loop,
        after_averagers_were_loaded,
        undivided,
        sharded,
        sharded_as_before,
        hybrid,
        copied_as_before,
        hybrid_from_other_seeds,
        hybrid_that_keeps_gradients_to_itself,
        hybrid_within_a_sample,
        statistics_of_its_own,
        statistics_saved,
        statistics_averaged,
    )
}


def watched(scenario: Scenario, rank: int) -> Recording:
    course = Course(every_kind())

    def taken(line: Line) -> None:
        if (shared := shared_part(line)) is not None:
            course.add(shared)

    pulse = Pulse([RankSampler], line=taken)
    with pulse:
        scenario(rank)
    assert pulse.run.faults == []
    return Recording(*course.evidence())


def one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name, scenario in SCENARIOS.items():
        Path(folder, f"{name}-{rank}.json").write_bytes(watched(scenario, rank).to_json())
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def recorded() -> Iterator[dict[str, dict[int, Recording]]]:
    """Run all scenarios, each in two processes; return what each rank noted."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            one_rank, args=(folder,), nprocs=2, start_method="fork"
        )
        yield {
            name: {
                rank: Recording.from_json(
                    Path(folder, f"{name}-{rank}.json").read_bytes(), every_kind()
                )
                for rank in range(2)
            }
            for name in SCENARIOS
        }


def said(rule: Rule, recordings: dict[int, Recording]) -> Outcome:
    facts = across(recordings)
    (outcome,) = judge([rule], Recording(*([facts] if facts else [])))
    return outcome


Recorded = dict[str, dict[int, Recording]]


def test_equal_ranks_note_equal_marks_after_the_same_steps(recorded: Recorded) -> None:
    marks = [each.get(RankMarks) for each in recorded["equal"].values()]
    here, there = (each.by_moment() for each in marks if each is not None)
    assert [steps for _, steps in here] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    for moment, named in here.items():
        parameters = {name for name in named if name.startswith("parameters/0/")}
        assert len(parameters) == 6
        assert {name: named[name] for name in parameters} == {
            name: there[moment][name] for name in parameters
        }
        assert named["batch"] != there[moment]["batch"]
    assert said(ranks_diverge, recorded["equal"]).status is Status.PASSED
    assert said(same_data_on_ranks, recorded["equal"]).status is Status.PASSED


def test_what_is_thawed_after_wrapping_differs_after_the_first_step(recorded: Recorded) -> None:
    outcome = said(ranks_diverge, recorded["thawed_after_wrapping"])
    (finding,) = outcome.findings
    assert outcome.severity(finding) is Severity.ERROR
    assert finding.measured.startswith("after 1 optimizer step: 0.weight")
    assert finding.at.file == __file__


def test_steps_that_one_rank_takes_with_another_optimizer_do_not_count(recorded: Recorded) -> None:
    name = "an_extra_optimizer_on_one_rank"
    assert said(ranks_diverge, recorded[name]).status is Status.PASSED


@pytest.mark.parametrize("name", ["averaged_now_and_then", "averaged_by_a_loop"])
def test_ranks_that_are_to_differ_are_not_judged(recorded: Recorded, name: str) -> None:
    assert said(ranks_diverge, recorded[name]).status is Status.SKIPPED


def test_that_averagers_could_be_made_does_not_matter(recorded: Recorded) -> None:
    name = "after_averagers_were_loaded"
    assert said(ranks_diverge, recorded[name]).status is Status.PASSED


@pytest.mark.parametrize("name", ["hybrid", "copied_as_before"])
def test_copies_of_shards_are_compared(recorded: Recorded, name: str) -> None:
    assert said(ranks_diverge, recorded[name]).status is Status.PASSED
    assert said(same_data_on_ranks, recorded[name]).status is Status.PASSED


def test_copies_of_shards_that_begin_with_other_values_diverge(recorded: Recorded) -> None:
    (finding,) = said(ranks_diverge, recorded["hybrid_from_other_seeds"]).findings
    assert finding.measured.startswith("after 1 optimizer step: 1.weight of rank 1 differs")


def test_copies_that_keep_their_gradients_to_themselves_are_not_judged(recorded: Recorded) -> None:
    name = "hybrid_that_keeps_gradients_to_itself"
    assert said(ranks_diverge, recorded[name]).status is Status.SKIPPED


def test_a_mesh_that_divides_samples_is_left_alone(recorded: Recorded) -> None:
    assert said(same_data_on_ranks, recorded["hybrid_within_a_sample"]).status is Status.SKIPPED


def test_shards_of_one_model_see_the_same_data(recorded: Recorded) -> None:
    (finding,) = said(same_data_on_ranks, recorded["sharded_as_before"]).findings
    assert finding.message.endswith("ranks of one FSDP")


def test_the_same_batches_are_the_same_data(recorded: Recorded) -> None:
    (finding,) = said(same_data_on_ranks, recorded["undivided"]).findings
    assert "ranks 0-1" in finding.measured


def test_of_sharded_parameters_only_the_batches_are_compared(recorded: Recorded) -> None:
    replicas = recorded["sharded"][0].get(Replicas)
    assert replicas is not None
    assert [(each.kind, each.group) for each in replicas.wrappers.values()] == [("FSDP", (0, 1))]
    assert said(ranks_diverge, recorded["sharded"]).status is Status.SKIPPED
    (finding,) = said(same_data_on_ranks, recorded["sharded"]).findings
    assert "of one FSDP" in finding.message


def test_statistics_of_one_rank_are_evaluated(recorded: Recorded) -> None:
    (finding,) = said(statistics_not_synchronised, recorded["statistics_of_its_own"]).findings
    assert "2 of 2 parts differ" in finding.measured


def test_statistics_of_one_rank_are_saved(recorded: Recorded) -> None:
    (finding,) = said(statistics_not_synchronised, recorded["statistics_saved"]).findings
    assert finding.message.startswith("is saved with")
    assert "on rank 0" in finding.measured


def test_statistics_that_were_averaged_are_not(recorded: Recorded) -> None:
    outcome = said(statistics_not_synchronised, recorded["statistics_averaged"])
    assert outcome.status is Status.PASSED


def test_statistics_that_the_first_rank_gives_are_left_alone(recorded: Recorded) -> None:
    assert said(statistics_not_synchronised, recorded["equal"]).status is Status.SKIPPED


def test_marks_are_taken_ever_more_rarely_and_never_too_rarely() -> None:
    marked = [steps for steps in range(1, 100_000) if is_marked(steps)]
    assert marked[:14] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24]
    assert all(later <= 1.25 * steps for steps, later in itertools.pairwise(marked) if steps >= 4)
    assert len(marked) < 70


def test_names_are_cut_until_few_are_left() -> None:
    names = [f"body.{i}.{j}.weight" for i in range(4) for j in range(20)]
    assert set(parts(names).values()) == {f"body.{i}" for i in range(4)}
    assert parts(["a.weight", "a.bias"]) == {"a.weight": "a.weight", "a.bias": "a.bias"}


def test_one_process_notes_nothing() -> None:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        assert list(watched(equal, 0)) == []
    finally:
        distributed.destroy_process_group()
