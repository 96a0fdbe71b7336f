"""Annotations and people drawn at random, for properties."""

from pathlib import Path

from hypothesis import strategies as st

from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from stepscope_systems.rgbt_detection.data.kaist import IGNORED
from stepscope_systems.rgbt_detection.data.pairs import Box, Pair, PairList, Person
from tests.stepscope_systems.rgbt_detection.data.trees import SIZE

LABELS = ("person", "people", "person?", "cyclist")


@st.composite
def boxes(draw: st.DrawFn, *, step: float = 0.25) -> Box:
    """Draw a box within the image, its edges on a grid so fine."""
    edges = []
    for size in SIZE:
        steps = int(size / step)
        near = draw(st.integers(0, steps - 1))
        edges.append((near * step, draw(st.integers(near + 1, steps)) * step))
    (x1, x2), (y1, y2) = edges
    return (x1, y1, x2, y2)


@st.composite
def annotations(draw: st.DrawFn, *, labels: tuple[str, ...] = LABELS) -> Annotation:
    objects = st.builds(
        Annotated,
        box=boxes(),
        label=st.sampled_from(labels),
        occlusion=st.sampled_from((0, 1, 2)),
        ignore=st.booleans(),
        identity=st.integers(-1, 5),
    )
    return Annotation(objects=tuple(draw(st.lists(objects, max_size=4))), size=SIZE)


@st.composite
def people(draw: st.DrawFn, *, labels: tuple[str, ...]) -> Person:
    visible, infrared = draw(
        st.tuples(boxes(), boxes())
        | boxes().map(lambda box: (box, box))
        | boxes().map(lambda box: (box, None))
        | boxes().map(lambda box: (None, box))
    )
    label = draw(st.sampled_from(labels))
    return Person(
        visible=visible,
        infrared=infrared,
        label=label,
        occlusion=draw(st.sampled_from((0, 1, 2))),
        ignore=draw(st.booleans()) or label in IGNORED,
        identity=draw(st.integers(-1, 5)),
    )


def _boxes_of(person: Person) -> tuple[Box | None, Box | None, str]:
    return (person.visible, person.infrared, person.label)


@st.composite
def pair_lists(
    draw: st.DrawFn,
    image: Path,
    *,
    labels: tuple[str, ...] = LABELS,
    names: tuple[str, ...] = ("set00/V000/I00001", "set00/V000/I00003", "set04/V001/I00001"),
) -> PairList:
    """Draw a list for training, all of whose images are the same file."""
    pairs = []
    for name in names[: draw(st.integers(1, len(names)))]:
        crowd = st.lists(people(labels=labels), max_size=3, unique_by=_boxes_of)
        scene, frame = name.rsplit("/", 1) if "/" in name else (name[:2], name[2:])
        pairs.append(
            Pair(
                name=name,
                visible=image,
                infrared=image,
                width=SIZE[0],
                height=SIZE[1],
                people=tuple(draw(crowd)),
                scene=scene,
                frame=int(frame.removeprefix("I")),
                condition=draw(st.sampled_from(("day", "night", "glare"))),
            )
        )
    return PairList(dataset="drawn", variant="v", split="train", pairs=tuple(pairs))
