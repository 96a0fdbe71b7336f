"""Two images that belong together are mirrored independently of each other.

## What it proves
Both inputs are declared modalities of one size. Over the recorded samples the edges of one agree
with the mirror image of the other (or with the other upside down) at least half as well as with the
other as it is, at least twice as well as any agreement by chance among 36 (displaced copies, and
images of other samples), and better than either input agrees with its own mirror image.

## Why it matters
One box cannot lie on both: in half of the pairs a person is taught to be where the other sensor
shows none. Fusion learns to trust one modality, and what pulls the two together pulls apart what
belongs together.

## What to do
Draw each geometric step once for the pair: `transforms.v2` on one dictionary with both images and
the boxes, or one seed for both. Photometric steps may differ.

## Limits
Judged for inputs that the intent declares as modalities, of 1 or 3 channels and 16 pixels or more,
as they come to the model, from eight samples on. Sensors that show few common edges need more
samples to stand out from chance, and so do flips with a chance below one half. A crop or a scale
that differs is not judged, nor are scenes that are their own mirror image.

## Sources
- https://docs.pytorch.org/vision/stable/transforms.html (one call transforms images and boxes)
- Twice the largest of 36: about five deviations of chance. On 672 comparisons of rendered pairs
  (two sensors, day and night, moving and fixed cameras, 6 to 48 samples) chance gave 1.3 times.
- Of 140 draws of 12 to 48 aligned pairs of one made-up scene, a fifth agreed mirrored by that
  measure, and in each of them an input agreed better with its own mirror image.
"""

from fnmatch import fnmatchcase

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.image_pairs import ImagePair, ImagePairs
from stepscope.evidence.intent import Intent

FEWEST = 8  # samples
SYMMETRIC = 0.25  # agreement with one's own mirror image


@rule("DAT004", Severity.WARNING)
def pairs_misaligned(
    images: ImagePairs, intent: Intent, *, over_chance: float = 2.0, of_straight: float = 0.5
) -> Findings:
    pairs = [each for each in images.pairs if _is_declared(each, intent.modalities)]
    if not pairs:
        raise NotJudged("needs two declared modalities that are images of one size")
    judged = [pair for pair in pairs if pair.samples >= FEWEST]
    if not judged:
        raise NotJudged(f"{pairs[0].samples} samples of the {FEWEST} it needs")
    for pair in judged:
        for turned, own, how in (
            (pair.mirrored, pair.own_mirror, "mirrored"),
            (pair.upside_down, pair.own_turned, "upside down"),
        ):
            least = max(over_chance * pair.by_chance, of_straight * pair.straight)
            # What both show, a person or a car from behind, may be its own mirror image.
            if turned < least or turned <= own or own > SYMMETRIC:
                continue
            yield Finding(
                subject=f"inputs {pair.first!r} and {pair.second!r}",
                message=f"belong together, and one of them is {how} in some samples",
                measured=f"edges agree to {pair.straight:.3f} as they are, to {turned:.3f} {how}, "
                f"to {pair.by_chance:.3f} at most by chance; {pair.samples} samples",
                expected="the same geometric steps for both",
                at=Place(parameter=pair.second),
            )


def _is_declared(pair: ImagePair, modalities: tuple[str, ...]) -> bool:
    return all(
        any(fnmatchcase(name, pattern) for pattern in modalities)
        for name in (pair.first, pair.second)
    )


def _train(watch: Watch, *, apart: int, samples: int = 16, declared: bool = True) -> None:
    """Show images of the same rectangles; in the first pairs the infrared one is mirrored."""
    import torch

    class Fusion(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(2, 1)

        def forward(self, visible: torch.Tensor, infrared: torch.Tensor) -> torch.Tensor:
            means = visible.mean((1, 2, 3)), infrared.mean((1, 2, 3))
            out: torch.Tensor = self.head(torch.stack(means, dim=1))
            return out

    torch.manual_seed(0)
    model = Fusion()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    visible = torch.rand(samples, 3, 48, 48) * 0.1
    infrared = torch.rand(samples, 1, 48, 48) * 0.1
    for index in range(samples):
        for _rectangle in range(2):
            x, y, width, height = torch.randint(5, 24, (4,)).tolist()
            visible[index, :, y : y + height, x : x + width] += 0.4
            infrared[index, :, y : y + height, x : x + width] += 0.8
    infrared[:apart] = infrared[:apart].flip(-1)
    model(visible, infrared).sum().backward()
    optimizer.step()
    watch.saw(Intent(modalities=("visible", "infrared") if declared else ()))


def fails_when_half_of_the_pairs_are_mirrored_apart(watch: Watch) -> None:
    _train(watch, apart=8)


def fails_when_all_pairs_are_mirrored_apart(watch: Watch) -> None:
    _train(watch, apart=16)


def passes_when_no_pair_is(watch: Watch) -> None:
    _train(watch, apart=0)


def _agree(
    watch: Watch, *, mirrored: float = 0.1, straight: float = 0.1, own_mirror: float = 0.0
) -> None:
    _train(watch, apart=0)
    pair = ImagePair(
        first="visible", second="infrared", samples=8, straight=straight, mirrored=mirrored,
        upside_down=0.0, by_chance=0.02, own_mirror=own_mirror, own_turned=0.0,
    )  # fmt: skip
    watch.saw(ImagePairs(pairs=(pair,)))


def fails_when_the_mirror_image_agrees_a_little_over_the_limit_of_chance(watch: Watch) -> None:
    _agree(watch, mirrored=0.041, straight=0.03)


def passes_when_the_mirror_image_agrees_a_little_under_the_limit_of_chance(watch: Watch) -> None:
    _agree(watch, mirrored=0.039, straight=0.03)


def fails_when_it_agrees_a_little_more_than_half_as_well_as_the_image(watch: Watch) -> None:
    _agree(watch, mirrored=0.051)


def passes_when_it_agrees_a_little_less_than_half_as_well_as_the_image(watch: Watch) -> None:
    _agree(watch, mirrored=0.049)


def passes_when_the_scenes_are_their_own_mirror_image(watch: Watch) -> None:
    _agree(watch, mirrored=0.3, own_mirror=0.26)


def passes_when_an_input_agrees_a_little_better_with_its_own_mirror_image(watch: Watch) -> None:
    _agree(watch, own_mirror=0.101)


def fails_when_no_input_agrees_so_well_with_its_own_mirror_image(watch: Watch) -> None:
    _agree(watch, own_mirror=0.099)


def skips_when_there_are_seven_samples(watch: Watch) -> None:
    _train(watch, apart=3, samples=7)


def skips_when_the_inputs_are_not_declared(watch: Watch) -> None:
    _train(watch, apart=8, declared=False)


def skips_when_there_is_one_image(watch: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    watch.saw(Intent(modalities=("visible", "infrared")))
