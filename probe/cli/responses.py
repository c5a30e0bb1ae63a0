"""`probe responses`: learn where things are from sentences alone, on a frozen model or on pictures.

Of pictures, in the data sets that the method was published on, `referring` has the rest.
"""

import shlex
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from probe.cli.console import keep_for_json, show, show_json, silence_libraries
from probe.cli.model_options import ModelOptions, load_model
from probe.cli.numbers import check_layer, check_numbers
from probe.cli.outputs import check_file_writable, check_writable
from probe.cli.referring import PICTURE_SETS, PictureOptions, PictureRun, run_on_pictures
from probe.cli.unused_options import refuse_unused
from probe.spelling import explain_unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probe.engine.model import VideoLM
    from probe.trained.responses.examples import Described
    from probe.trained.responses.responses import Responses
    from probe.trained.responses.training import ResponseRecipe

ACTIONS = ("train", "evaluate")

SHAPES, THINGS = "shapes", "things"
DRAWN = (SHAPES, THINGS)
"""The worlds of which clips can be drawn."""

OF_VIDEOS = ("data", "states", "layer", "text", "stages", "disambiguate", "any_frame", "steps")
"""Options that have no effect on a training run on pictures."""

SMALLEST = {"stages": 1, "steps": 1, "limit": 1, "seed": 0}
"""The least that numbers may be, by the names of their options."""

DRAWN_CLIPS = 600
"""Clips of a drawn world that are trained on, unless another number is given."""


@dataclass(frozen=True)
class TrainResponses:
    """Learn where things are from sentences alone, on a frozen model (PCNet)."""

    action: Annotated[Positional[str], arg(metavar="{train,evaluate}")] = ""
    """Train; or evaluate what was trained on pictures (videos: `probe evaluate --method
    responses`)."""

    pictures: Annotated[Positional[str], arg(metavar="{refcoco,refcoco+,refcocog}")] = ""
    """Pictures with sentences, in place of --data: a CLIP is tuned on them, as published."""

    options: Annotated[ModelOptions, arg(name="")] = field(default_factory=ModelOptions)

    data: Annotated[str, arg(metavar="{shapes,things,FILE.jsonl,NAME}")] = SHAPES
    """Videos with sentences about them: clips of shapes or things drawn from a seed, a file of your
    own with one query a line, or a data set by its name. Boxes in it are not used."""

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder of the videos, where the data needs one."""

    out: Annotated[Path, arg(metavar="FILE")] = Path("responses.safetensors")
    """The file to write; the folders FILE.states and FILE.run next to it keep the states of all
    videos and the run, which goes on where it was stopped."""

    states: Annotated[Path | None, arg(metavar="DIR")] = None
    """Another folder for the states, such as one that several trainings share."""

    layer: Annotated[int, arg(metavar="N")] = 4
    """The decoder layer whose states are read, where they enter it."""

    cues: Annotated[str, arg(metavar="{rules,whole,FILE.json}")] = "rules"
    """The phrases that a thing is found by, stage by stage: the parts of the sentence by rules of
    grammar, the whole sentence each time, or a file of phrases by sentence."""

    text: Literal["embeddings", "states"] = "embeddings"
    """Read texts as the embeddings of their tokens, or as their states entering the layer."""

    stages: Annotated[int | None, arg(metavar="N")] = None
    """Number of stages; by default 3."""

    disambiguate: bool = False
    """Also train with the loss that tells two sentences about one video apart, as the paper does.
    It takes twice as long."""

    any_frame: bool = False
    """Train on all frames, not on those in which a sentence holds: then its time is no label."""

    steps: Annotated[int | None, arg(metavar="N")] = None
    """Number of steps; by default 2000."""

    limit: Annotated[int | None, arg(metavar="N")] = None
    """The most videos to train on; by default all, and 600 clips of a drawn world."""

    seed: int = 0
    """Seed of the weights and of the draws."""

    json: bool = False
    """Print one JSON object and nothing else on the standard output."""

    published: Annotated[PictureOptions, arg(name="")] = field(default_factory=PictureOptions)

    @property
    def debug(self) -> bool:
        """True if the traceback of an error is to be shown."""
        return self.options.debug

    def run(self) -> None:
        """Train, write the file, and print how the loss fell."""
        self._check_action()
        if self.pictures:
            self._run_on_pictures()
            return
        self._check()
        from probe.trained.responses.responses import Responses
        from probe.trained.responses.training import train_responses

        silence_libraries()
        with keep_for_json(self.json):
            recipe = self._make_recipe()
            model = load_model(self.options.model, self.options)
            check_layer("--layer", self.layer, model)
            videos = self._describe(model)
            # Next to the file, so that whoever finds it finds what it was made of.
            states = self.states or Path(f"{self.out}.states")
            run = Path(f"{self.out}.run")
            learned = train_responses(
                model, videos, recipe, states=states, run=run, data=Path(self.data).name
            )
            learned.save(self.out)
        self._tell(Responses.of(learned, self.out))

    def _check_action(self) -> None:
        if not self.action:
            raise ValueError(f"responses: give {' or '.join(ACTIONS)}")
        if self.action not in ACTIONS:
            raise ValueError(explain_unknown("action", self.action, ACTIONS))
        if self.action == "evaluate" and not self.pictures:
            raise ValueError(
                f"evaluate: name one of {', '.join(PICTURE_SETS)}; maps of videos are judged by "
                "`probe evaluate DATA --method responses --maps FILE`"
            )

    def _check(self) -> None:
        """Refuse options of no use before torch is loaded."""
        names = [one.name for one in fields(self.published)]
        sets = ", ".join(PICTURE_SETS)
        refuse_unused(self.published, names, f"only of pictures; leave it out, or name {sets}")
        check_numbers(self, **SMALLEST)
        if self.data in DRAWN and self.root is not None:
            raise ValueError(f"{self.data} are drawn from a seed; leave out --root")
        self.options.check()
        check_file_writable(self.out, suffix=".safetensors")
        if self.states is not None:
            check_writable(self.states, "--states")

    def _run_on_pictures(self) -> None:
        """Train or evaluate on a published data set of pictures."""
        if self.pictures not in PICTURE_SETS:
            raise ValueError(explain_unknown("data set of pictures", self.pictures, PICTURE_SETS))
        refuse_unused(self, OF_VIDEOS, f"only of videos, and not of {self.pictures}; leave it out")
        check_numbers(self, **SMALLEST)
        usual = Path("responses.safetensors" if self.action == "train" else "scores.json")
        silence_libraries()
        run = PictureRun(
            self.pictures,
            self.root,
            self.published,
            self.cues,
            self.limit,
            self.options.device,
            self.seed,
        )
        out = usual if self.out == Path("responses.safetensors") else self.out
        run_on_pictures(self.action, run, out, json=self.json)

    def _make_recipe(self) -> "ResponseRecipe":
        from probe.grounding.cues import split_cues
        from probe.trained.responses.examples import any_frame, frames_of_span
        from probe.trained.responses.presets import VIDEO, VIDEO_DISAMBIGUATED, VIDEO_SCHEDULE
        from probe.trained.responses.texts import Phrases, TextStates, embed_texts, no_cues
        from probe.trained.responses.training import ResponseRecipe

        known = {"rules": split_cues, "whole": no_cues}
        network = VIDEO.network
        stages = network.stages if self.stages is None else self.stages
        steps = VIDEO_SCHEDULE.steps if self.steps is None else self.steps
        config = VIDEO_DISAMBIGUATED if self.disambiguate else VIDEO
        return ResponseRecipe(
            self.layer,
            replace(config, network=replace(network, stages=stages)),
            replace(VIDEO_SCHEDULE, steps=steps),
            cues=known[self.cues] if self.cues in known else Phrases.load(self.cues),
            text=TextStates(self.layer) if self.text == "states" else embed_texts,
            frames=any_frame if self.any_frame else frames_of_span,
            seed=self.seed,
        )

    def _describe(self, model: "VideoLM") -> "Sequence[Described]":
        if self.data in DRAWN:
            from probe.organism.catalogue import WORLDS
            from probe.trained.responses.drawn import describe_drawn

            clips = DRAWN_CLIPS if self.limit is None else self.limit
            return describe_drawn(clips, world=WORLDS[self.data])
        from probe.datasets import load_dataset
        from probe.evaluation.described import describe_dataset

        frames = self.options.frames or model.preferred_frames
        return describe_dataset(load_dataset(self.data, self.root), frames)[: self.limit]

    def _tell(self, found: "Responses") -> None:
        about = found.about
        (_, first), (last_step, last) = about["curve"][0], about["curve"][-1]
        if self.json:
            show_json({"out": str(self.out), "content": found.content, **about})
            return
        show(f"trained on {about['videos']} videos and {about['sentences']} sentences")
        show(f"loss {first:.3f} at the first step, {last:.3f} at step {last_step}")
        again = f"probe ground VIDEO QUERY --preset plain --maps {shlex.quote(str(self.out))}"
        show(f"written {self.out}; read maps with: {again}")
