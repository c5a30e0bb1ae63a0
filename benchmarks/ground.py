"""Grounding of one clip, compared with the same computation by the released code's procedure.

    python benchmarks/ground.py

Both follow the same configuration to the same tube; only the procedure differs.

engine     `probe.ground`: the vision tower once for all questions, the video once for all questions
           of a branch, questions packed, one pass for an answer, rows of attention
reference  vision tower and video again for each question, ten tokens generated for each, with the
           graph kept if a prompt is learned, and eager attention matrices at all layers
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from comparison import (
    LONG_RUN_REPEATS,
    BenchmarkOptions,
    Numbers,
    compare,
    costs,
    largest_difference,
    run,
    setting,
    table,
)
from jaxtyping import Float
from models import Peer, frames_of, open_video_lm, peer, shape_of
from torch import Tensor

from probe.candidates.tracks import best_track
from probe.engine.attention import RELATIVE_FLOOR, Heatmap
from probe.engine.grids import Cells
from probe.engine.prompts import answer_ids
from probe.engine.readings import yes_minus_no
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast
from probe.grounding.presets import PRESETS
from probe.grounding.queries import Queries, as_question, decompose
from probe.grounding.reattention import Learning
from probe.grounding.span_rules import best_span
from probe.interpret.token_rules import AnswerOpening
from probe.organism.world import make_clip
from probe.video import Span, Tube, Video

CLIP_SEED = 7

CONFIGURATIONS = ("paper", "released-code")

GENERATED = 10
"""Number of tokens that the released code generates for each question."""

QUICK_GENERATED = 2

ROLE_TOKENS = 5
"""Number of tokens that the template adds after the user's words: `A SS IST ANT :`."""


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure costs of both procedures by configuration, and the difference of their maps."""
    shape = shape_of(options)
    model, other = open_video_lm(shape, options), peer(shape, options)
    clip = make_clip(CLIP_SEED)
    video = clip.video(frames_of(options))
    tracks = tuple(thing.track() for thing in clip.things)
    query = clip.things[0].query
    cells = model.watch(video).grid.cells
    # The reference takes longer than everything else together.
    fewer = replace(options, repeats=min(options.repeats, LONG_RUN_REPEATS))
    words = QUICK_GENERATED if options.quick else GENERATED
    configurations: Numbers = {}
    for name in CONFIGURATIONS:
        config = PRESETS[name]
        reference = Reference(other, video, cells, config, words)
        found = compare(
            {
                "engine": lambda config=config: ground(model, video, query, tracks, config=config),
                "reference": lambda reference=reference: reference.ground(query, tracks),
            },
            fewer,
        )
        configurations[name] = {
            **costs(found),
            **_agreement(found["engine"].value, found["reference"].value),
        }
    return {**setting(options), "visual_tokens": len(cells), "configurations": configurations}


@dataclass(frozen=True, eq=False)
class Reference:
    """Procedure of the released code, on the plain model."""

    other: Peer
    video: Video
    cells: Cells
    config: GrounderConfig
    words: int = GENERATED
    """Number of tokens generated for each question."""

    backwards: bool = False
    """Put the frames of the visual tokens in reverse order."""

    def ground(self, query: str, tracks: tuple[Tube, ...]) -> "ReferenceAnswer":
        """Find the span and the track."""
        asked = decompose(query)
        with self.other.eager():
            ahead = self.look(asked, asked.attribute, self.config.learn_where)
            reverse = replace(self, backwards=True)
            back = reverse.look(asked, asked.attribute, self.config.learn_where)
            when = self.look(asked, asked.action, self.config.learn_when)
        where = (ahead + back.flip(0)) / 2
        track = best_track(tracks, Heatmap(where, self.cells))
        scores = Heatmap(when, self.cells).peak_within(track)
        span = best_span(scores, self.cells, self.video.source_length, self.config.span)
        return ReferenceAnswer(where, when, track, span)

    def look(
        self, asked: Queries, part: str, learning: Learning | None
    ) -> Float[Tensor, "frame row column"]:
        """Compute the map of one part of a query, relative to that of the generic prompt."""
        question = as_question(part)
        vectors = None if learning is None else self.learn(question, learning)
        final = self.maps(as_question(asked.whole) if self.config.ask_whole else question, vectors)
        generic = self.maps(self.config.generic, vectors if self.config.prompt_generic else None)
        token = self.token(final)
        return final[token] / (generic[token] + RELATIVE_FLOOR)

    def token(self, maps: Float[Tensor, "token frame row column"]) -> int:
        """Return the index of the token whose map is used, counted from the last."""
        if isinstance(self.config.token, AnswerOpening):
            return -ROLE_TOKENS  # in this template, which is LLaVA-NeXT-Video's
        return int(maps[-ROLE_TOKENS:].amax(dim=(1, 2, 3)).argmax()) - ROLE_TOKENS

    def learn(self, question: str, learning: Learning) -> Float[Tensor, "visual hidden"]:
        """Learn the latent prompt of a question."""
        hidden = self.other.module.config.text_config.hidden_size
        newest = applied = torch.zeros(len(self.cells), hidden, device=self.other.module.device)
        assert not isinstance(learning.rate, int | float)
        for _ in range(learning.steps):
            applied.requires_grad_()
            self.loss(question, applied, learning).backward()
            assert applied.grad is not None
            before, newest = newest, newest + learning.rate.step(applied.grad, applied)
            applied = ((newest + before) / 2 if learning.average_last_two else newest).detach()
            newest = newest.detach()
        return applied

    def loss(self, question: str, vectors: Tensor, learning: Learning) -> Tensor:
        """Compute the loss of a learning step, with its graph."""
        margin = self.margin(question, vectors)
        if learning.loss is contrast:
            return 1 - (margin - self.margin(self.config.generic, vectors))
        return -margin.exp()

    def margin(self, question: str, vectors: Tensor) -> Tensor:
        """Compute yes minus no at the first generated token, with its graph."""
        inputs = self.other.inputs(self.video, question)
        logits = self.generate(inputs, vectors).logits[0][0]
        return yes_minus_no(logits, answer_ids(self.other.processor.tokenizer))

    @torch.no_grad()
    def maps(
        self, question: str, vectors: Tensor | None
    ) -> Float[Tensor, "token frame row column"]:
        """Compute the attention map of each token of a question, averaged over layers and heads."""
        inputs = self.other.inputs(self.video, question)
        matrices = self.generate(inputs, vectors).attentions[0]
        visual = self.other.visual(inputs)
        first = int(visual.nonzero().max()) + 1
        rows = torch.stack([matrix[0][:, first:, visual] for matrix in matrices])
        return rows.float().mean(dim=(0, 1)).cpu().unflatten(-1, self.cells.shape)

    def generate(self, inputs: dict[str, Tensor], vectors: Tensor | None) -> Any:
        """Generate tokens from video and question, with vectors added to the visual tokens."""
        (places,) = self.other.visual(inputs).nonzero(as_tuple=True)

        def enter(_: torch.nn.Module, unnamed: tuple[()], named: dict[str, Any]) -> Any:
            states = named["inputs_embeds"]
            # From the second generated token on the cache holds the video: nothing to add to.
            if states.shape[1] == 1:
                return None
            if self.backwards:
                framed = states[:, places].unflatten(1, (self.cells.shape[0], -1))
                states = states.index_copy(1, places, framed.flip(1).flatten(1, 2))
            if vectors is not None:
                states = states.index_add(1, places, vectors[None].to(states))
            return unnamed, {**named, "inputs_embeds": states}

        hook = self.other.decoder.register_forward_pre_hook(enter, with_kwargs=True)
        module = self.other.module
        # `generate` is decorated with no_grad; the function under it keeps the graph.
        output = type(module).generate.__wrapped__(
            module,
            **inputs,
            max_new_tokens=self.words,
            # A model of random weights may end its answer at any token.
            min_new_tokens=self.words,
            do_sample=False,
            output_attentions=True,
            output_logits=True,
            return_dict_in_generate=True,
        )
        hook.remove()
        return output


@dataclass(frozen=True, eq=False)
class ReferenceAnswer:
    """Answer of the reference."""

    where: Float[Tensor, "frame row column"]
    when: Float[Tensor, "frame row column"]
    track: Tube
    span: Span


def _agreement(answer: Answer, found: ReferenceAnswer) -> Numbers:
    """Compare the maps of both, and the tubes they lead to."""
    same_track = bool((answer.track.boxes == found.track.boxes).all())
    return {
        "where_difference": largest_difference(answer.where.heatmap.values, found.where),
        "when_difference": largest_difference(answer.when.heatmap.values, found.when),
        "same_tube": same_track and answer.span == found.span,
    }


def show(numbers: Numbers) -> str:
    """Format one line for each configuration, with the ratios that matter."""
    return table(
        [
            {
                "configuration": name,
                "visual tokens": numbers["visual_tokens"],
                "engine s": one["engine"]["seconds"],
                "reference s": one["reference"]["seconds"],
                "engine MiB": one["engine"]["peak_mib"],
                "reference MiB": one["reference"]["peak_mib"],
                "reference/engine time": one["reference"]["seconds"] / one["engine"]["seconds"],
                "reference/engine memory": one["reference"]["peak_mib"] / one["engine"]["peak_mib"],
                "same tube": one["same_tube"],
            }
            for name, one in numbers["configurations"].items()
        ]
    )


if __name__ == "__main__":
    run("ground", measure, show)
