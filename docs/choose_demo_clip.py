"""Choose the clip of `probe demo` for each shipped model, by a rule that does not look at success.

    python docs/choose_demo_clip.py           measure all shipped models (a minute or two each)
    python docs/choose_demo_clip.py things    measure one, and keep what is stored of the others

Of the first 200 clips of a model's world it takes those whose query needs all of its words: each
word for the thing is true of another thing, too, so that no word alone says which is meant. Each is
answered as the demo answers it. The clip whose answer has the median overlap with the truth (vIoU)
is shown: half of the others are answered better, half worse.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import probe
from probe.candidates.proposers import PROPOSERS
from probe.cli.demo import DEMO_PRESET, compare, scale_truth
from probe.engine.model_names import SHIPPED
from probe.files import read_json, write_json
from probe.organism.catalogue import WORLDS
from probe.organism.worlds import Clip, Thing, World

CLIPS = 200
"""Clips that are looked through."""

RESULT = Path(__file__).parent / "demo_clip.json"


def needs_all_words(clip: Clip) -> bool:
    """Return whether each word for the thing that is asked about is true of another thing, too."""
    if not clip.asked:
        return False
    meant = clip.asked[0]
    others = [set(list_words(thing)) for thing in clip.things if thing is not meant]
    said = [word for use, word in meant.words.items() if use != "ACTION"]
    return len(said) > 1 and all(any(word in other for other in others) for word in said)


def list_words(thing: Thing) -> list[str]:
    """List the words that are true of a thing, whether its query has them or not."""
    return [value for value in vars(thing).values() if isinstance(value, str)]


def find_typical(overlaps: Mapping[str, float]) -> int:
    """Return the clip of the median overlap; of two in the middle, the worse one."""
    ordered = sorted(overlaps, key=lambda seed: (overlaps[seed], int(seed)))
    return int(ordered[(len(ordered) - 1) // 2])


def measure(model: probe.VideoLM, world: World, seed: int) -> float:
    """Measure the overlap of the demo's answer for one clip with the truth (vIoU)."""
    clip = world.make_clip(seed)
    thing = clip.asked[0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        clip.write(path)
        video = probe.read_video(path, world.sampled_frames)
        find_tracks = PROPOSERS[world.proposer].propose
        answer = probe.ground(model, video, thing.query, find_tracks, config=DEMO_PRESET)
    overlap = compare(answer, scale_truth(thing, video, world)).viou
    assert overlap is not None, "time and boxes of a clip are known"
    return round(overlap, 4)


def choose(name: str) -> dict[str, object]:
    """Measure the clips that the rule allows with a shipped model, and choose one."""
    model, world = probe.load(name), WORLDS[SHIPPED[name].world]
    seeds = [seed for seed in range(CLIPS) if needs_all_words(world.make_clip(seed))]
    overlaps = {str(seed): measure(model, world, seed) for seed in seeds}
    return {"clip": find_typical(overlaps), "preset": DEMO_PRESET, "viou": overlaps}


def main() -> None:
    """Measure the models that are named, or all, and write their overlaps."""
    stored = read_json(RESULT) if RESULT.exists() else {}
    write_json(RESULT, {**stored, **{name: choose(name) for name in sys.argv[1:] or SHIPPED}})


if __name__ == "__main__":
    main()
