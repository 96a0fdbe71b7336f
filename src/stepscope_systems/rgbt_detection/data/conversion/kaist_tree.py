"""The layout of KAIST: text annotations, one a frame, or one a frame and modality."""

from collections import Counter
from pathlib import Path

from stepscope_systems.rgbt_detection.data.conversion.plan import (
    Plan,
    annotated,
    boxes_differ,
    everyone,
    note,
    seen_in,
)
from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.formats import kaist_text
from stepscope_systems.rgbt_detection.data.formats.objects import Annotated, Annotation
from stepscope_systems.rgbt_detection.data.kaist_layout import DAY, FOLDERS, FRAME, TRAIN, Frame
from stepscope_systems.rgbt_detection.data.kaist_layout import frame as named_frame
from stepscope_systems.rgbt_detection.data.pairs import Modality, Pair, PairList, Person

VIDEOS, FRAMES = 1_000, 100_000  # V000 to V999, I00000 to I99999


def plan(pairs: PairList) -> Plan:
    """Return paired annotations where boxes differ between modalities, and raw ones otherwise."""
    _refuse_labels_of_two_words(pairs)
    texts: dict[Path, str] = {}
    images: dict[Path, Path] = {}
    notes = {}
    is_paired = boxes_differ(pairs) > 0
    for pair, frame in zip(pairs.pairs, _frames(pairs), strict=True):
        for folder, source in zip(FOLDERS.values(), (pair.visible, pair.infrared), strict=True):
            place = Path("images", frame.scene, folder, f"I{frame.number:05}{source.suffix}")
            images[place] = source
        if is_paired:
            for modality, folder in FOLDERS.items():
                place = Path("annotations_paired", frame.scene, folder, f"I{frame.number:05}.txt")
                texts[place] = _text(pair, modality)
        else:
            texts[Path("annotations", f"{frame.name}.txt")] = _text(pair, "visible")
        said = note(pair, identities=True)
        if said.condition not in {"", frame.condition} or said.identities is not None:
            notes[frame.name] = said
    losses = []
    if pairs.split not in {"train", "test"}:
        losses.append(f"the split {pairs.split} has no sets of its own: written among train")
    return Plan(texts=texts, images=images, notes=notes, losses=tuple(losses))


def _text(pair: Pair, modality: Modality) -> str:
    objects = tuple(_in(person, modality) for person in pair.people)
    return kaist_text.text(Annotation(objects=objects))


def _in(person: Person, modality: Modality) -> Annotated:
    if seen_in(person, modality):
        return annotated(person, modality)
    return Annotated(box=None, label=person.label, occlusion=person.occlusion, ignore=person.ignore)


def _frames(pairs: PairList) -> list[Frame]:
    """Return a frame for each pair: its own, or one whose set says split and light."""
    videos = {scene: number for number, scene in enumerate(dict.fromkeys(_scenes(pairs)))}
    part = {"day": min(DAY - TRAIN), "night": min(set(range(12)) - DAY - TRAIN)}
    if pairs.split != "test":
        part = {"day": min(DAY & TRAIN), "night": min(TRAIN - DAY)}
    frames = []
    for pair in pairs.pairs:
        if FRAME.fullmatch(pair.name):
            frames.append(named_frame(pair.name, pair.visible))
            continue
        if videos[pair.scene] >= VIDEOS or not 0 <= pair.frame < FRAMES:
            raise DataFault(
                pair.visible,
                found=f"scene {videos[pair.scene]} and frame {pair.frame}",
                expected=f"fewer than {VIDEOS:,} scenes of fewer than {FRAMES:,} frames",
                advice="convert fewer scenes at a time",
            )
        number = part.get(pair.condition, part["day"])
        frames.append(Frame(number, videos[pair.scene], pair.frame))
    frame, count = Counter(frames).most_common(1)[0] if frames else (None, 0)
    if count > 1:
        doubled = pairs.pairs[frames.index(frame)] if frame else pairs.pairs[0]
        raise DataFault(
            doubled.visible,
            found=f"{count} pairs of the scene {doubled.scene} at frame {doubled.frame}",
            expected="one pair at each frame of a scene",
            advice="number the frames of the scene",
        )
    return frames


def _scenes(pairs: PairList) -> list[str]:
    return [pair.scene for pair in pairs.pairs]


def _refuse_labels_of_two_words(pairs: PairList) -> None:
    for label in {person.label for person in everyone(pairs)}:
        if len(label.split()) != 1:
            raise DataFault(
                pairs.dataset,
                found=f"the label {label!r}",
                expected="one word, since words are the columns of KAIST text",
                advice="rename it, or convert to COCO or VOC",
            )
