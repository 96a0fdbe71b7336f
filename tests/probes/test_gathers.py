"""A gather that feeds a contrastive loss is told from others, and its own rows are looked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn import functional

from stepscope.evidence.losses import Gather, Gathers
from stepscope.probes.gathers import GathersProbe
from stepscope.probes.observation import Observation


@pytest.fixture(autouse=True)
def _one_process(tmp_path: Path) -> Iterator[None]:
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def gathers(*, restore: bool, uses: bool = True) -> tuple[Gather, ...]:
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    observation = Observation([GathersProbe], steps=10)
    with observation:
        rows = model(torch.randn(3, 4))
        parts = [torch.zeros(3, 4)]
        distributed.all_gather(parts, rows)
        if restore:
            parts[0] = rows
        columns = torch.cat(parts) if uses else rows
        loss = rows.square().sum()
        if uses:
            loss = loss + functional.cross_entropy((rows + 0) @ columns.T, torch.arange(3))
        loss.backward()
        optimizer.step()
    assert not observation.run.faults
    evidence = [each for each in observation.evidence if isinstance(each, Gathers)]
    return evidence[0].gathers if evidence else ()


@pytest.mark.parametrize("restore", [False, True])
def test_rows_that_were_put_back_are_seen(*, restore: bool) -> None:
    (gather,) = gathers(restore=restore)
    assert gather.own_part_restored is restore
    assert (gather.operation, gather.world_size) == ("all_gather", 1)
    assert gather.at.file == __file__


def test_a_gather_that_feeds_no_loss_is_left_out() -> None:
    assert gathers(restore=False, uses=False) == ()
