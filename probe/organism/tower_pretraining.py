"""The organism learns to see: from tags of whole frames, then from tags of whole clips.

1. *Frames.* The vision tower, the projector and the word embeddings learn which tags ("red,
   circle, glows") a frame carries. This does at once what CLIP and the first stage of LLaVA do.
2. *Clips.* The two lowest decoder layers learn which tags ("red, circle, slides left") a clip
   carries, while each visual token attends only around its place in the frame before. This takes
   the place of pre-training on videos: what happens over time is seen in no single frame. In a
   world of many kinds, words after the clip learn there which statements about it are true, and
   what these layers add to any token is kept small (`statements`, `growth`).

Nothing says where or when a tag is true (`tag_reading`).

Both come before the first question: words and cells have to be aligned before the decoder learns.
From answers alone, motion was never learned ("jumps" was right in 0 of 33 after 2,400 steps).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.attention_masks import make_statement_mask, make_tower_mask
from probe.organism.batches import (
    StatementBatch,
    TagBatch,
    make_clip_batches,
    make_frame_batches,
)
from probe.organism.growth import measure_growth
from probe.organism.log import append_log_entry, enumerate_with_progress
from probe.organism.network import make_processor
from probe.organism.optimisers import (
    list_matrices,
    list_other_parameters,
    make_optimisers,
    set_rate,
)
from probe.organism.recipe import Recipe
from probe.organism.shapes import SHAPES
from probe.organism.stage_states import StageState, find_state
from probe.organism.statements import Judgements, StatementReader
from probe.organism.tag_reading import (
    FRAMES_AT_ONCE,
    TagReader,
    TagScores,
    count_clips_at_once,
    learn_tags,
)
from probe.organism.training_decoder import autocast_where_faster, divide_edges, run_layer
from probe.organism.worlds import World

LOCAL_TOWER_SHARE = 0.7
"""Share of batches of frames in which a patch attends only to its neighbours."""

# Added to the recipe's seed, so that no stage is trained on clips of another or of a benchmark.
FRAME_CLIPS_SEED = 1_000_003
TAGGED_CLIPS_SEED = 3_000_003


JUDGE_RATE_SCALE = 3.0
"""Learning rate of the one direction in which a statement is true, relative to the recipe's."""


def train_on_frames(
    network: LlavaNextVideoForConditionalGeneration,
    recipe: Recipe,
    folder: Path,
    world: World = SHAPES,
) -> None:
    """Train the tower, the projector and the word embeddings on tags of frames (stage one).

    Args:
        network: The organism, changed in place.
        recipe: Length and rates.
        folder: Folder of the run, for its log.
        world: The world that is learned.
    """
    # A tower that has learned from pairs is kept: its way to see is what an experiment is about.
    inner = network.model
    from_tags = recipe.seeing == "tags"
    if not from_tags:
        inner.vision_tower.requires_grad_(False)
        # Seeded again, since a continued run comes here without having drawn what pairs draw.
        torch.manual_seed(recipe.seed)
    width = inner.vision_tower.config.hidden_size
    reader = TagReader(width, world.frame_tags, world).to(network.device)
    words = inner.language_model.embed_tokens
    projector = inner.multi_modal_projector
    seeing = (inner.vision_tower, projector) if from_tags else (projector,)
    matrices = [matrix for part in seeing for matrix in list_matrices(part)]
    plain = [parameter for part in seeing for parameter in list_other_parameters(part)]
    groups = [{"params": [*plain, words.weight], "rate_scale": 1.0}, *reader.make_groups()]
    optimisers = make_optimisers(matrices, groups, recipe.frame_rate)
    learners = nn.ModuleDict({"network": network, "reader": reader})
    path, steps = find_state(folder, "frames"), recipe.frame_steps
    state = StageState(path, learners, optimisers, steps, recipe.save_every)
    done = state.load()
    # Drawn for all steps at once, so that a continued run makes the choices of the whole run.
    generator = torch.Generator().manual_seed(recipe.seed)
    local = [bool(torch.rand(1, generator=generator) < LOCAL_TOWER_SHARE) for _ in range(steps)]
    seed = recipe.seed + FRAME_CLIPS_SEED
    batches = make_frame_batches(seed, done, steps, recipe.frame_clips, world)
    for step, batch in enumerate_with_progress(batches, steps, "frames", done):
        set_rate(optimisers, recipe.frame_rate, step, steps, warm=100)
        # In most batches a patch sees only its neighbours, so that what a cell's token says is what
        # lies there; in the others the tower learns to be used without a mask, as it will be.
        mask = make_tower_mask(local=local[step], world=world)

        def read(part: TagBatch, mask: Tensor | None = mask) -> tuple[TagScores, float]:
            with autocast_where_faster(network.device):
                seen = inner.vision_tower(
                    normalise_frames(part.frames, network, world),
                    attention_mask=None if mask is None else mask.to(network.device),
                ).last_hidden_state[:, 1:]  # without the class token
                projected = inner.multi_modal_projector(seen)
            scores = reader(seen.float(), projected.float(), words.weight, projected.float())
            return scores, 0.0

        scores = learn_tags(optimisers, reader, batch, read, FRAMES_AT_ONCE)
        if step % 50 == 0:
            append_log_entry(folder, stage="frames", step=step, **scores.measure(batch.tags))
        state.save_if_due(step + 1)


def train_on_clips(
    network: LlavaNextVideoForConditionalGeneration,
    recipe: Recipe,
    folder: Path,
    world: World = SHAPES,
) -> Mapping[str, Tensor]:
    """Train the lowest decoder layers on tags of clips, while the tower is fixed (stage two).

    Args:
        network: The organism after stage one, changed in place.
        recipe: Length and rates.
        folder: Folder of the run, for its log.
        world: The world that is learned.

    Returns:
        The weights of the reader of tags, if the recipe keeps it.
    """
    inner = network.model
    decoder, words = inner.language_model, inner.language_model.embed_tokens
    lowest = decoder.layers[: world.body.clip_stage_layers]
    # Seeded again, since a continued run comes here without having drawn what stage one draws.
    torch.manual_seed(recipe.seed)
    reader = TagReader(decoder.config.hidden_size, world.clip_tags, world).to(network.device)
    # Projector and words learn slowly from here on: at full rate they would lose their alignment.
    slow = [*inner.multi_modal_projector.parameters(), words.weight]
    groups = [
        {"params": [*list_other_parameters(lowest), decoder.norm.weight], "rate_scale": 1.0},
        {"params": slow, "rate_scale": recipe.slow},
        *reader.make_groups(),
    ]
    learners = nn.ModuleDict({"network": network, "reader": reader})
    judge = StatementReader(decoder.config.hidden_size).to(network.device)
    if recipe.statements:
        learners["judge"] = judge
        groups.append({"params": judge.parameters(), "rate_scale": JUDGE_RATE_SCALE})
    optimisers = make_optimisers(list_matrices(lowest), groups, recipe.clip_rate)
    path, steps = find_state(folder, "clips"), recipe.clip_steps
    state = StageState(path, learners, optimisers, steps, recipe.save_every)
    done = state.load()
    seed, stated = recipe.seed + TAGGED_CLIPS_SEED, recipe.statements > 0
    batches = make_clip_batches(seed, done, steps, recipe.clip_clips, world, stated=stated)
    shown = replace(world, sampled_frames=world.tagged_frames or world.sampled_frames)
    reading = _ClipReading(network, reader, judge, recipe, shown)
    for step, batch in enumerate_with_progress(batches, steps, "clips", done):
        set_rate(optimisers, recipe.clip_rate, step, steps, warm=100)
        read = replace(reading, settling=step >= recipe.settle * steps, judged=[])
        scores = learn_tags(optimisers, reader, batch, read, count_clips_at_once(shown))
        if step % 50 == 0:
            measured = {**scores.measure(batch.tags), **Judgements.measure(read.judged)}
            append_log_entry(folder, stage="clips", step=step, **measured)
        state.save_if_due(step + 1)
    return reader.state_dict() if recipe.reader == "kept" else {}


@dataclass(frozen=True)
class _ClipReading:
    """Reads the tags of clips in stage two, and measures the losses besides that on them."""

    network: Any
    reader: TagReader
    judge: StatementReader
    recipe: Recipe
    shown: World
    """The world with as many frames as a part of a clip has."""
    settling: bool = False
    """True in the steps in which statements are read and growth is bounded."""
    judged: list[Judgements] = field(default_factory=list)
    """Takes what is read of statements."""

    def __call__(self, part: StatementBatch) -> tuple[TagScores, Tensor | float]:
        """Compute the scores of some clips, and the losses on statements and growth."""
        stated = self.settling and self.recipe.statements > 0
        shown, decoder = self.shown, self.network.model.language_model
        part = part.shorten(stated=stated)
        device, words, video = self.network.device, decoder.embed_tokens, shown.visual_tokens
        # Visual tokens that attended to all others would collect the tags of the whole clip in a
        # few background tokens; around a cell, only what moves there can be learned.
        edges = divide_edges(make_statement_mask(part.statements.cpu(), shown), device)
        # The positions that the visual tokens have in a whole prompt, and words after them.
        start = len(shown.body.before_video)
        places = torch.arange(start, shown.text_start, device=device).expand(len(part.ids), -1)
        places = torch.cat([places, shown.text_start + part.places], dim=1)
        with autocast_where_faster(device):
            hidden = embedded = embed_videos(part.frames, self.network, shown)
            if stated:
                hidden = torch.cat([embedded.float(), words(part.ids)], dim=1)
            rotary, states = decoder.rotary_emb(hidden, places), [hidden]
            # Layer by layer, since the decoder itself would go on through all of its layers.
            for layer in decoder.layers[: shown.body.clip_stage_layers]:
                states.append(run_layer(layer, states[-1], rotary, edges))
            last = decoder.norm(states[-1]).float()
        seen, said = last[:, :video], last[:, video:]
        scores = self.reader(seen, seen, words.weight, embedded.float())
        besides: Tensor | float = 0.0
        if stated:
            judged = self.judge(said, part.truth)
            besides = self.recipe.statements * judged.compute_loss()
            self.judged.append(judged.detach())
        if self.settling and self.recipe.growth:
            besides = besides + self.recipe.growth * measure_growth(states, slice(0, video))
        return scores, besides


def normalise_frames(
    videos: Tensor, network: LlavaNextVideoForConditionalGeneration, world: World = SHAPES
) -> Float[Tensor, "frame 3 height width"]:
    """Convert frames from 0 to 255 to the values that the processor would give the tower."""
    # The processor itself takes one video at a time, on the CPU.
    shape = make_processor(world).video_processor
    mean = torch.tensor(shape.image_mean, device=network.device)
    std = torch.tensor(shape.image_std, device=network.device)
    return ((videos.float() / 255 - mean) / std).flatten(0, -4).permute(0, 3, 1, 2)


def embed_videos(
    videos: Tensor, network: LlavaNextVideoForConditionalGeneration, world: World = SHAPES
) -> Float[Tensor, "clip visual hidden"]:
    """Compute the visual tokens that the decoder gets of each clip; the tower gets no gradient."""
    with torch.no_grad():
        frames = normalise_frames(videos, network, world)
        seen = network.model.vision_tower(frames).last_hidden_state[:, 1:]  # no class token
    return network.model.multi_modal_projector(seen).unflatten(0, (len(videos), -1)).flatten(1, 2)


@torch.no_grad()
def rescale_embeddings(
    network: LlavaNextVideoForConditionalGeneration, world: World = SHAPES
) -> None:
    """Scale words and visual tokens to a root mean square of 1, and start the head as the words."""
    # At unit scale neither drowns the other, and both are much larger than what untrained layers
    # add to them: what stage one has aligned stays aligned up through the layers. At norm 1 the
    # decoder learned nothing for 1,500 steps.
    inner = network.model
    words = inner.language_model.embed_tokens.weight
    wanted = words.shape[1] ** 0.5
    words.copy_(wanted * words / words.norm(dim=-1, keepdim=True).clamp_min(1e-3))
    # With the embeddings as head, a state that contains a word says it.
    network.lm_head.weight.copy_(words / wanted)
    frames = next(make_frame_batches(0, 0, 1, 24, world)).frames[:, None].to(network.device)
    norm = embed_videos(frames, network, world).norm(dim=-1).mean()
    last = inner.multi_modal_projector.linear_2
    last.weight.mul_(wanted / norm)
    last.bias.mul_(wanted / norm)
