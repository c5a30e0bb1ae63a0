"""Choose the clip of `probe demo` by a rule that does not look at its success alone.

    python docs/choose_demo_clip.py     measure these clips, and write demo_clip.json (a minute)

Of the first 200 clips it takes those whose query needs both of its words: another thing has the
colour, and another has the shape, so that neither word alone says which is meant. Each is answered
as the demo answers it. The clip whose answer has the median overlap with the truth (vIoU) is shown:
half of the others are answered better, half worse.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import probe
from probe.cli.demo import DEMO_PRESET, compare, scale_truth
from probe.files import write_json
from probe.organism.shapes import SHAPES
from probe.organism.world import SAMPLED_FRAMES, Clip, make_clip

CLIPS = 200
"""Clips that are looked through."""

RESULT = Path(__file__).parent / "demo_clip.json"


def needs_both_words(clip: Clip) -> bool:
    """Return whether neither the colour nor the shape of the first thing is its alone."""
    meant, *others = clip.things
    return any(other.colour == meant.colour for other in others) and any(
        other.shape == meant.shape for other in others
    )


def find_typical(overlaps: Mapping[str, float]) -> int:
    """Return the clip of the median overlap; of two in the middle, the worse one."""
    ordered = sorted(overlaps, key=lambda seed: (overlaps[seed], int(seed)))
    return int(ordered[(len(ordered) - 1) // 2])


def measure(model: probe.VideoLM, seed: int) -> float:
    """Measure the overlap of the demo's answer for one clip with the truth (vIoU)."""
    clip = make_clip(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        clip.write(path)
        video = probe.read_video(path, SAMPLED_FRAMES)
        answer = probe.ground(model, video, clip.things[0].query, config=DEMO_PRESET)
    overlap = compare(answer, scale_truth(clip.things[0], video, SHAPES)).viou
    assert overlap is not None, "time and boxes of a clip are known"
    return round(overlap, 4)


def main() -> None:
    """Measure all clips that the rule allows, and write their overlaps."""
    model = probe.load()
    seeds = [seed for seed in range(CLIPS) if needs_both_words(make_clip(seed))]
    overlaps = {str(seed): measure(model, seed) for seed in seeds}
    write_json(RESULT, {"clip": find_typical(overlaps), "preset": DEMO_PRESET, "viou": overlaps})


if __name__ == "__main__":
    main()
