"""What is to be predicted, as a person names it, and the pairs that this means."""

from dataclasses import dataclass
from pathlib import Path

from stepscope_systems.rgbt_detection.data.pairs import Modality
from stepscope_systems.rgbt_detection.prediction.moments import other
from stepscope_systems.rgbt_detection.prediction.outputs import Format
from stepscope_systems.rgbt_detection.prediction.sources import Source, of_folder, of_images
from stepscope_systems.rgbt_detection.prediction.videos import VIDEOS, of_videos
from stepscope_systems.rgbt_detection.ranges import SHARE, at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be predicted, and what is to be left of it."""

    output: Path  # a folder; predictions that lie there are not overwritten
    visible: Path | None = None  # an image or a video
    infrared: Path | None = None
    folder: Path | None = None  # instead: with visible/ and infrared/ (or lwir/)
    missing: Modality | None = None  # the modality that is to be done without
    formats: tuple[Format, ...] = ()  # besides JSON lines
    draw: bool = True
    minimum_score: float = 0.5  # of what is drawn; the files hold every detection
    batch: int = 1  # pairs at a time

    def __post_init__(self) -> None:
        """Refuse numbers by which nothing would be predicted or drawn.

        Raises:
            ValueError: an option lies outside its range.
        """
        for name, value, allowed in (
            ("batch", self.batch, at_least(1)),
            ("score", self.minimum_score, SHARE),
        ):
            if not allowed.holds(value):
                raise ValueError(f"--{name} is {value:g}; expected {allowed}")


def source_of(options: Options) -> Source:
    """Return what the options name.

    Raises:
        ValueError: they name nothing, too much, or a modality that is declared missing.
        DataFault: what they name is not there or does not make pairs.
    """
    named: dict[Modality, Path] = {}
    if options.visible is not None:
        named["visible"] = options.visible
    if options.infrared is not None:
        named["infrared"] = options.infrared
    if options.folder is not None:
        if named:
            raise ValueError(
                f"both --folder and --{' and --'.join(named)} were given; expected one of the two"
            )
        return of_folder(options.folder, options.missing)
    wanted: set[Modality] = {other(options.missing)} if options.missing else {"visible", "infrared"}
    if set(named) != wanted:
        given = " and ".join(f"--{each}" for each in named) or "neither image"
        raise ValueError(
            f"{given} was given"
            + (f" with --missing {options.missing}" if options.missing else "")
            + f"; expected {' and '.join(f'--{each}' for each in sorted(wanted))}"
            + ("" if options.missing else ", or --missing and the modality that there is not")
        )
    are_videos = {path.suffix.lower() in VIDEOS for path in named.values()}
    if len(are_videos) > 1:
        raise ValueError(
            f"{' and '.join(path.name for path in named.values())} are an image and a video; "
            "expected two of a kind"
        )
    read = of_videos if are_videos == {True} else of_images
    return read(named, options.missing)
