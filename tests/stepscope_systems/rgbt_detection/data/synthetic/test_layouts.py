"""What is written is what the readers of the real data sets read back."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.sources import Source
from stepscope_systems.rgbt_detection.data.synthetic import DOMAINS, Layout, synthesise
from stepscope_systems.rgbt_detection.data.synthetic.scenes import draw, some_scene
from tests.stepscope_systems.rgbt_detection.data.synthetic.small import domain

pytestmark = pytest.mark.corpus
LAYOUTS: list[Layout] = ["llvip", "kaist"]
CONDITIONS = (("day", 0.5), ("night", 0.25), ("glare", 0.25))


def read(root: Path, layout: Layout, split: Literal["train", "test"]) -> PairList:
    source = Source(kind=layout, root=root, split=split, variant="paired", subset=True)
    return source.inspect().sound()


def digest(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_seed_writes_the_same_bytes_and_another_does_not(
    tmp_path: Path, layout: Layout
) -> None:
    roots = [tmp_path / name for name in ("one", "again", "other")]
    for root, seed in zip(roots, (4, 4, 5), strict=True):
        root.mkdir()
        synthesise(root, domain(), layout=layout, train=4, test=2, seed=seed)
    one, again, other = (digest(root) for root in roots)
    assert one == again
    assert one.keys() == other.keys()
    assert one.values() != other.values()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_reader_reads_back_what_was_drawn(tmp_path: Path, layout: Layout) -> None:
    small = domain(conditions=(("crossover", 1.0),))
    synthesise(tmp_path, small, layout=layout, train=5, test=4, seed=1)
    for split, count, first, seed in (("train", 5, 0, 1), ("test", 4, 1000, 1 + 1_000_003)):
        pairs = read(tmp_path, layout, split).pairs  # type: ignore[arg-type]
        assert len(pairs) == count
        for number, pair in enumerate(pairs):
            drawn = draw(some_scene(small, first + number // 3, "crossover", seed), number % 3)
            told = [(each.visible, each.infrared, each.identity) for each in pair.people]
            assert told == [(each.visible, each.infrared, each.identity) for each in drawn.people]
            assert (pair.condition, pair.width, pair.height) == ("crossover", 64, 48)


def test_kaist_keeps_occlusion_and_the_boxes_of_both_modalities(tmp_path: Path) -> None:
    small = domain("b", misalignment=5)
    synthesise(tmp_path, small, layout="kaist", train=30, test=1)
    people = [person for pair in read(tmp_path, "kaist", "train").pairs for person in pair.people]
    assert {person.occlusion for person in people} == {0, 1, 2}
    assert sum(person.visible != person.infrared for person in people) > len(people) / 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nobody_and_no_scene_is_in_both_splits(tmp_path: Path, layout: Layout) -> None:
    synthesise(tmp_path, domain(), layout=layout, train=9, test=9)
    train, test = (read(tmp_path, layout, split) for split in ("train", "test"))
    for each in (train, test):
        assert len({pair.scene for pair in each.pairs}) == 3
    assert not {pair.scene for pair in train.pairs} & {pair.scene for pair in test.pairs}
    people = [
        {person.identity for pair in each.pairs for person in pair.people} for each in (train, test)
    ]
    assert people[0]
    assert people[1]
    assert not people[0] & people[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_conditions_have_the_shares_of_the_domain(tmp_path: Path, layout: Layout) -> None:
    synthesise(tmp_path, domain(conditions=CONDITIONS), layout=layout, train=24, test=12)
    train, test = (read(tmp_path, layout, split).pairs for split in ("train", "test"))
    assert Counter(pair.condition for pair in train) == {"day": 12, "night": 6, "glare": 6}
    assert Counter(pair.condition for pair in test) == {"day": 6, "night": 3, "glare": 3}


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_shares_of_a_domain_add_up(name: str) -> None:
    chosen = DOMAINS[name]
    assert sum(share for _, share in chosen.conditions) == pytest.approx(1)
    assert sum(chosen.people) == pytest.approx(1)


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (71, 1, "71 train pairs of 1 frames a scene; the names of llvip have room for 70"),
        (1, 30, "30 test pairs .* room for 29"),
    ],
)
def test_more_scenes_than_the_names_of_llvip_tell_apart_are_refused(
    tmp_path: Path, train: int, test: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        synthesise(tmp_path, domain(frames=1), layout="llvip", train=train, test=test)
    assert not list(tmp_path.iterdir())


def test_as_many_scenes_as_there_are_names_for_are_told_apart(tmp_path: Path) -> None:
    small = domain(frames=1, width=32, height=24, smallest=8, largest=12)
    synthesise(tmp_path, small, layout="llvip", train=70, test=29)
    for split, count in (("train", 70), ("test", 29)):
        pairs = read(tmp_path, "llvip", split).pairs  # type: ignore[arg-type]
        assert len({pair.scene for pair in pairs}) == count


def test_progress_counts_up_to_all_pairs(tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    synthesise(
        tmp_path,
        domain(),
        layout="llvip",
        train=3,
        test=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
