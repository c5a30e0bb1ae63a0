"""`probe demo`: one clip, one query, and the answer next to the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from probe.cli.console import show, show_progress
from probe.cli.model_options import (
    LoadOptions,
    PresetName,
    VideoOptions,
    find_files,
    find_model_and_video,
    open_model,
)
from probe.cli.numbers import check_numbers
from probe.cli.outputs import check_writable, write_together
from probe.cli.telling import print_answer, write_files

if TYPE_CHECKING:
    from probe.candidates.proposers import TrackFinder
    from probe.grounding.answers import Answer
    from probe.metrics import QueryScore
    from probe.organism.worlds import Thing, World
    from probe.video import Tube, Video

DEMO_CLIPS: Mapping[str, int] = MappingProxyType({"shapes": 63, "things": 198})
"""Seeds of the clips that `probe demo` shows, by the world that a model has learned.

Of the first 200 clips those are taken whose query needs all of its words, since each word is true
of another thing, too; and of these the one whose answer has the median overlap with the truth
(`docs/choose_demo_clip.py`). So it is a typical answer, neither the best nor the worst.
"""

DEMO_PRESET: PresetName = "noun"
"""The preset whose story can be seen: one token looks, and its look chooses the box. `probe ground`
asks by cause, which no map shows; the demo tells whether that would choose the same."""


@dataclass(frozen=True)
class Demo:
    """Ground a query in a clip of a drawn world with a shipped model; show the truth, too."""

    out: Annotated[Path, arg(metavar="DIR")] = Path("probe-demo")
    """Folder for clip.mp4, answer.json, answer.mp4, answer.png and truth.json."""

    clip: Annotated[int | None, arg(metavar="SEED")] = None
    """Seed of the clip; every number is another clip. By default the one of median overlap among
    the clips whose query needs all of its words, as was measured with the shipped model of that
    world."""

    model: Annotated[str, arg(metavar="MODEL")] = "organism"
    """The model that answers, about a clip of the drawn world that it has learned: organism (moving
    shapes), things (pictures of things), or the folder of one that `probe train-organism` wrote."""

    preset: Annotated[PresetName, arg(metavar="NAME")] = DEMO_PRESET
    """The choices to follow: causal, noun, best, entropy-gradient, plain, paper, released-code."""

    quiet: bool = False
    """Show no progress bars and no notes; results and errors stay."""

    debug: bool = False
    """Show the full traceback of an error."""

    def run(self) -> None:
        """Make the clip, answer the query, and print answer and truth."""
        from probe.candidates.proposers import PROPOSERS
        from probe.candidates.tracks import save_tracks

        check_writable(self.out)
        check_numbers(self, clip=0)
        world = find_learned_world(self.model)
        clip = world.make_clip(find_demo_clip(world) if self.clip is None else self.clip)
        thing = clip.asked[0]
        # With the clip: the answer to another clip must not lie next to this one.
        with write_together(self.out) as folder:
            # Through a file, so that the demo shows what happens to any video.
            clip.write(folder / "clip.mp4")
            find_tracks = PROPOSERS[world.proposer].propose
            path = folder / "clip.mp4"
            answer, asked = answer_twice(path, thing.query, self.preset, self.model, find_tracks)
            truth = scale_truth(thing, answer.video, world)
            overlap = compare(answer, truth)
            words = f"overlap: {describe_overlap(overlap)}"
            source = self.out / "clip.mp4"
            write_files(answer, folder, source=source, truth=truth, agreement=words)
            save_tracks([truth], answer.video, folder / "truth.json")
        print_answer(answer, self.out)
        print_truth(answer, truth.span.start, truth.span.stop)
        show(f"overlap {describe_overlap(overlap)} (tIoU, gt_vIoU, vIoU)")
        if self.preset != "causal":
            print_cause(answer, asked)


def find_demo_clip(world: "World") -> int:
    """Return the seed of the clip that is shown of a world, unless another is asked for."""
    # Of a world without a shipped model nothing was measured, and any clip is as good.
    return DEMO_CLIPS.get(world.name, 0)


def find_learned_world(name: str) -> "World":
    """Find the drawn world that a model has learned.

    Raises:
        ValueError: if there is no such model, or it has learned none of them.
    """
    from probe.engine.model_names import SHIPPED
    from probe.organism.catalogue import WORLDS, find_world

    files = find_files(name, LoadOptions())
    world = find_world(files.empty.processor.tokenizer.get_vocab())
    if world is None:
        raise ValueError(
            f"{name}: has learned none of the drawn worlds ({', '.join(WORLDS)}); give "
            f"{' or '.join(SHIPPED)}, or the folder of a model that `probe train-organism` wrote"
        )
    return world


def answer_twice(
    path: Path, query: str, preset: PresetName, model: str, find_tracks: "TrackFinder"
) -> "tuple[Answer, Answer]":
    """Ground a query in a video by a preset, and again by cause.

    Args:
        path: The video.
        query: The sentence that describes the thing.
        preset: The choices of the first answer.
        model: The name of the model that answers.
        find_tracks: Finds the candidates.
    """
    from probe.grounder import ground
    from probe.grounding.presets import CAUSAL, PRESETS

    with show_progress("load", "ground", "ask") as step:
        files, video = find_model_and_video(path, VideoOptions(model=model))
        opened = open_model(files, video)
        step()
        answer = ground(opened, video, query, find_tracks, config=PRESETS[preset])
        step()
        asked = ground(opened, video, query, answer.candidates, config=CAUSAL)
        step()
    return answer, asked


def scale_truth(thing: "Thing", video: "Video", world: "World") -> "Tube":
    """Return the true boxes of a thing in the pixels of a video file of its clip."""
    from probe.video import Tube

    tube = thing.tube()
    return Tube(tube.frames, tube.boxes * (video.size[0] / world.side), tube.label)


def compare(answer: "Answer", truth: "Tube") -> "QueryScore":
    """Compute how far an answer overlaps the truth."""
    from probe.metrics import score_query

    return score_query(answer.tube, truth, track=answer.whole_track)


def describe_overlap(overlap: "QueryScore") -> str:
    """Describe an overlap in words of everyday."""
    return f"time {overlap.tiou:.2f}, box {overlap.gt_viou:.2f}, both {overlap.viou:.2f}"


def print_truth(answer: "Answer", start: int, stop: int) -> None:
    """Print the true time, given the source frames at which it starts and stops."""
    seconds = answer.video.time_at(start), answer.video.time_at(stop)
    show(f"truth   {seconds[0]:.2f} to {seconds[1]:.2f} s (frames {start} to {stop - 1})")


def print_cause(answer: "Answer", asked: "Answer") -> None:
    """Print which candidate the model's own answer depends on: a map alone is no reason.

    Args:
        answer: The answer that was given.
        asked: The answer by cause, with the same candidates.
    """
    chosen = asked.scores.index(asked.score)
    same = "the same" if chosen == answer.scores.index(answer.score) else "another"
    effect = f"effect {asked.score:.3g}"
    if len(asked.scores) > 1:
        effect += f", the next {sorted(asked.scores)[-2]:.3g}"
    show(
        f"cause   the model's own answer depends most on candidate {chosen + 1}, {same}: {effect} "
        "(--preset causal)"
    )
