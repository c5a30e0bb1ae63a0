"""The organism learns to see: from tags of whole frames, then from tags of whole clips.

1. *Frames.* The vision tower, the projector and the word embeddings learn which tags ("red,
   circle, glows") a frame carries. This does at once what CLIP and the first stage of LLaVA do.
2. *Clips.* The two lowest decoder layers learn which tags ("red, circle, slides left") a clip
   carries, while each visual token attends only around its place in the frame before. This takes
   the place of pre-training on videos: what happens over time is seen in no single frame.

Both are multiple-instance learning: the score of a tag is the log-mean-exp over visual tokens, so
that one token is enough. Nothing says which token: there is no box, no mask, no place and no time.

Both come before the first question: words and cells have to be aligned before the decoder learns.
From answers alone, motion was never learned ("jumps" was right in 0 of 33 after 2,400 steps).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.attention_masks import make_neighbourhood_mask, make_tower_mask
from probe.organism.batches import (
    TagBatch,
    make_clip_batches,
    make_frame_batches,
    move_batch,
)
from probe.organism.log import append_log_entry, enumerate_with_progress
from probe.organism.network import make_processor
from probe.organism.optimisers import (
    ParameterGroup,
    list_matrices,
    list_other_parameters,
    make_optimisers,
    set_rate,
    take_step,
)
from probe.organism.recipe import Recipe
from probe.organism.shapes import SHAPES
from probe.organism.stage_states import StageState, find_state
from probe.organism.tokens import encode
from probe.organism.training_decoder import add_to_scores, autocast_where_faster, run_layer
from probe.organism.worlds import RESTS, Tags, World

LOCAL_TOWER_SHARE = 0.7
"""Share of batches of frames in which a patch attends only to its neighbours."""

# Added to the recipe's seed, so that no stage is trained on clips of another or of a benchmark.
FRAME_CLIPS_SEED = 1_000_003
TAGGED_CLIPS_SEED = 3_000_003


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
        batch: TagBatch = move_batch(batch, network.device)
        # In most batches a patch sees only its neighbours, so that what a cell's token says is what
        # lies there; in the others the tower learns to be used without a mask, as it will be.
        mask = make_tower_mask(local=local[step], world=world)
        with autocast_where_faster(network.device):
            seen = inner.vision_tower(
                normalise_frames(batch.frames, network, world),
                attention_mask=None if mask is None else mask.to(network.device),
            ).last_hidden_state[:, 1:]  # without the class token
            projected = inner.multi_modal_projector(seen)
        loss, scores = reader(seen.float(), projected.float(), words.weight, batch.tags)
        take_step(optimisers, loss)
        if step % 50 == 0:
            append_log_entry(folder, stage="frames", step=step, loss=loss.item(), **scores)
        state.save_if_due(step + 1)


def train_on_clips(
    network: LlavaNextVideoForConditionalGeneration,
    recipe: Recipe,
    folder: Path,
    world: World = SHAPES,
) -> None:
    """Train the lowest decoder layers on tags of clips, while the tower is fixed (stage two).

    Args:
        network: The organism after stage one, changed in place.
        recipe: Length and rates.
        folder: Folder of the run, for its log.
        world: The world that is learned.
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
    optimisers = make_optimisers(list_matrices(lowest), groups, recipe.clip_rate)
    learners = nn.ModuleDict({"network": network, "reader": reader})
    path, steps = find_state(folder, "clips"), recipe.clip_steps
    state = StageState(path, learners, optimisers, steps, recipe.save_every)
    done = state.load()
    # Visual tokens that attended to all others would collect the tags of the whole clip in a few
    # background tokens; around a cell, only what moves there can be learned.
    near = make_neighbourhood_mask(world)[None]
    # The positions that the visual tokens have in a whole prompt.
    start = len(world.body.before_video)
    places = torch.arange(start, world.text_start, device=network.device)[None]
    seed = recipe.seed + TAGGED_CLIPS_SEED
    batches = make_clip_batches(seed, done, steps, recipe.clip_clips, world)
    for step, batch in enumerate_with_progress(batches, steps, "clips", done):
        set_rate(optimisers, recipe.clip_rate, step, steps, warm=100)
        batch: TagBatch = move_batch(batch, network.device)
        with autocast_where_faster(network.device):
            hidden = embed_videos(batch.frames, network, world)
            rotary = decoder.rotary_emb(hidden, places)
            edges = add_to_scores(near, network.device)
            # Layer by layer, since the decoder itself would go on through all of its layers.
            for layer in lowest:
                hidden = run_layer(layer, hidden, rotary, edges, hidden.shape[1])
            hidden = decoder.norm(hidden).float()
        loss, scores = reader(hidden, hidden, words.weight, batch.tags)
        take_step(optimisers, loss)
        if step % 50 == 0:
            append_log_entry(folder, stage="clips", step=step, loss=loss.item(), **scores)
        state.save_if_due(step + 1)


class TagReader(nn.Module):
    """Reads tags from visual tokens in two ways: by a linear head, and by word embeddings.

    The head teaches the layers below what to tell apart; the words align visual tokens with the
    embeddings, so that a cell's state is near the words for what lies in it.
    """

    def __init__(self, width: int, tags: Tags, world: World) -> None:
        super().__init__()
        # The tokens of each phrase of each axis, by which cells are compared with words.
        self.groups = [
            [
                [[] if phrase == RESTS else list(encode(phrase, world)) for phrase in axis]
                for axis in axes
            ]
            for axes in tags.groups
        ]
        self.tags = tags
        self.head = nn.Linear(width, len(tags.all))
        with torch.no_grad():
            self.head.bias.add_(tags.head_bias)
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(tags.word_bias))

    def make_groups(self) -> list[ParameterGroup]:
        """Return the reader's own parameters with their rates, for an optimiser."""
        return [
            {"params": self.head.parameters(), "rate_scale": 1.0},
            # Two single numbers of size 4 and 10 have far to go at the rate of a matrix's entries.
            {"params": [self.scale, self.bias], "rate_scale": 10.0},
        ]

    def forward(
        self,
        seen: Float[Tensor, "item token width"],
        projected: Float[Tensor, "item token hidden"],
        words: Float[Tensor, "word hidden"],
        tags: Float[Tensor, "item tag"],
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Compute the loss of both ways to read tags.

        Args:
            seen: Visual tokens for the head.
            projected: Visual tokens in the space of the word embeddings.
            words: The word embeddings.
            tags: 1 for each tag that an item carries, else 0.

        Returns:
            The sum of both losses, and the F1 of each way.
        """
        by_head = _pool_tokens(self.head(seen))
        cosine = normalize(projected, dim=-1) @ normalize(words, dim=-1).T
        summed = torch.cat([sum_phrases(cosine, axes) for axes in self.groups], dim=-1)
        by_words = _pool_tokens(summed * self.scale) + self.bias
        weight = torch.tensor(self.tags.positive_weight, device=tags.device)
        loss = sum(
            binary_cross_entropy_with_logits(by, tags, pos_weight=weight)
            for by in (by_head, by_words)
        )
        return torch.as_tensor(loss), {
            "f1_head": _compute_f1(by_head, tags),
            "f1_words": _compute_f1(by_words, tags),
        }


def sum_phrases(
    cosine: Float[Tensor, "item token word"], axes: Sequence[Sequence[Sequence[int]]]
) -> Float[Tensor, "item token tag"]:
    """Sum the cosines of the phrases of each tag of a group.

    Args:
        cosine: Cosine of each visual token with each word.
        axes: Token ids of each phrase of each axis.
    """
    # Summed within each token, before tokens are pooled: colour, shape and action have to meet in
    # one cell, or nothing would bind them.
    first, *others = (_compare(cosine, axis) for axis in axes)
    summed = first
    for scores in others:
        summed = summed[..., None] + scores.unflatten(-1, [1] * (summed.ndim - 2) + [-1])
    return summed.flatten(2)


def _compare(
    cosine: Float[Tensor, "item token word"], phrases: Sequence[Sequence[int]]
) -> Float[Tensor, "item token phrase"]:
    """Average the cosines of each phrase's words; resting is the absence of every other phrase.

    Args:
        cosine: Cosine of each visual token with each word.
        phrases: Token ids of each phrase; none for resting, which may only be the first.
    """
    named = [phrase for phrase in phrases if phrase]
    if all(len(phrase) == 1 for phrase in named):
        stacked = cosine[..., [phrase[0] for phrase in named]]
    else:
        stacked = torch.stack([cosine[..., phrase].mean(-1) for phrase in named], dim=-1)
    if len(named) == len(phrases):
        return stacked
    # No question contains a word for resting, so the vocabulary has none.
    return torch.cat([-stacked.amax(-1, keepdim=True), stacked], dim=-1)


def _pool_tokens(scores: Float[Tensor, "item token tag"]) -> Float[Tensor, "item tag"]:
    # Log-mean-exp: like the maximum it lets one token decide, but every token gets a gradient.
    return scores.logsumexp(1) - math.log(scores.shape[1])


def _compute_f1(logits: Tensor, tags: Tensor) -> float:
    found = (logits > 0).float()
    return (2 * (found * tags).sum() / (found.sum() + tags.sum())).item()


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
