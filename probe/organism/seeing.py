"""How the organism learns to see: from tags of whole frames, then from tags of whole clips.

1. *Frames.* The vision tower, the projector and the word embeddings learn which tags ("red,
   circle, glows") a frame carries. This is the organism's CLIP and LLaVA's first stage in one.
2. *Clips.* The two lowest decoder layers learn which tags ("red, circle, slides left") a clip
   carries, each visual token seeing only around its place in the frame before. This is its
   pre-training on videos: what happens over time shows in no single frame.

Both are multiple-instance learning: the score of a tag is the log-mean-exp over visual tokens, so
that one token is enough. Nobody says which: there is no box, no mask, no place and no time.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.cuts import VISUAL, neighbourhood, tower_mask
from probe.organism.lessons import BEFORE, RESTS, TagBatch, clip_batches, frame_batches, moved
from probe.organism.log import log, progress
from probe.organism.network import WATCHING, make_processor, token_ids
from probe.organism.optimisers import descend, matrices, optimisers, others, set_rate
from probe.organism.recipe import Recipe
from probe.organism.world import ACTIONS, COLOURS, SHAPES, STATES

LOCAL = 0.7
"""Share of batches of frames whose patches see only their neighbours."""


def learn_frames(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe, folder: Path
) -> None:
    """Stage one: what is in a frame."""
    inner = network.model
    reader = TagReader(inner.vision_tower.config.hidden_size, (RESTS, *STATES)).to(network.device)
    words = inner.language_model.embed_tokens
    hidden = [*matrices(inner.vision_tower), *matrices(inner.multi_modal_projector)]
    plain = [*others(inner.vision_tower), *others(inner.multi_modal_projector), words.weight]
    moving = optimisers(hidden, [{"params": plain, "k": 1.0}, *reader.groups()], recipe.frame_rate)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = frame_batches(recipe.seed + 1_000_003, recipe.frame_steps, recipe.frame_clips)
    for step, batch in progress(batches, recipe.frame_steps, "frames"):
        set_rate(moving, recipe.frame_rate, step, recipe.frame_steps, warm=100)
        batch: TagBatch = moved(batch, network.device)
        mask = tower_mask(local=bool(torch.rand(1, generator=generator) < LOCAL))
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            seen = inner.vision_tower(
                pixels(batch.frames, network),
                attention_mask=None if mask is None else mask.to(network.device),
            ).last_hidden_state[:, 1:]
            projected = inner.multi_modal_projector(seen)
        loss, scores = reader(seen.float(), projected.float(), words.weight, batch.tags)
        descend(moving, loss)
        if step % 50 == 0:
            log(folder, stage="frames", step=step, loss=loss.item(), **scores)


def learn_clips(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe, folder: Path
) -> None:
    """Stage two: what happens in a clip, the tower at rest."""
    inner = network.model
    decoder, words = inner.language_model, inner.language_model.embed_tokens
    lowest = decoder.layers[:WATCHING]
    torch.manual_seed(recipe.seed)
    reader = TagReader(decoder.config.hidden_size, ACTIONS).to(network.device)
    slow = [*inner.multi_modal_projector.parameters(), words.weight]
    groups = [
        {"params": [*others(lowest), decoder.norm.weight], "k": 1.0},
        {"params": slow, "k": recipe.slow},
        *reader.groups(),
    ]
    moving = optimisers(matrices(lowest), groups, recipe.clip_rate)
    edges = torch.zeros(VISUAL, VISUAL).masked_fill(~neighbourhood(), -1e9)[None, None]
    places = (len(BEFORE) + torch.arange(VISUAL, device=network.device))[None]
    batches = clip_batches(recipe.seed + 3_000_003, recipe.clip_steps, recipe.clip_clips)
    for step, batch in progress(batches, recipe.clip_steps, "clips"):
        set_rate(moving, recipe.clip_rate, step, recipe.clip_steps, warm=100)
        batch: TagBatch = moved(batch, network.device)
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            hidden = visual_tokens(batch.frames, network)
            for layer in lowest:
                hidden = layer(
                    hidden,
                    attention_mask=edges.to(hidden),
                    position_embeddings=decoder.rotary_emb(hidden, places),
                )
            hidden = decoder.norm(hidden).float()
        loss, scores = reader(hidden, hidden, words.weight, batch.tags)
        descend(moving, loss)
        if step % 50 == 0:
            log(folder, stage="clips", step=step, loss=loss.item(), **scores)


class TagReader(nn.Module):
    """Reads tags off visual tokens: by a linear head, and by the words of the language model."""

    def __init__(self, width: int, doings: Sequence[str]) -> None:
        super().__init__()
        self.doings = doings
        self.head = nn.Linear(width, len(COLOURS) * len(SHAPES) * len(doings))
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-4.0))

    def groups(self) -> list[dict[str, object]]:
        """The reader's own parameters and their rates."""
        return [
            {"params": self.head.parameters(), "k": 1.0},
            {"params": [self.scale, self.bias], "k": 10.0},
        ]

    def forward(
        self,
        seen: Float[Tensor, "item token width"],
        projected: Float[Tensor, "item token hidden"],
        words: Float[Tensor, "word hidden"],
        tags: Float[Tensor, "item tag"],
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """The loss of both ways to read, and the F1 of each."""
        by_head = _pooled(self.head(seen))
        cosine = normalize(projected, dim=-1) @ normalize(words, dim=-1).T
        colour, shape = cosine[..., token_ids(COLOURS)], cosine[..., token_ids(SHAPES)]
        doing = self._doing(cosine)
        summed = colour[..., :, None, None] + shape[..., None, :, None] + doing[..., None, None, :]
        by_words = _pooled(summed.flatten(-3) * self.scale) + self.bias
        loss = sum(binary_cross_entropy_with_logits(by, tags) for by in (by_head, by_words))
        return torch.as_tensor(loss), {
            "f1_head": _f1(by_head, tags),
            "f1_words": _f1(by_words, tags),
        }

    def _doing(self, cosine: Float[Tensor, "item token word"]) -> Float[Tensor, "item token doing"]:
        """The cosine of each doing's words; resting is the absence of every other."""
        named = [
            cosine[..., token_ids(doing.split())].mean(-1)
            for doing in self.doings
            if doing != RESTS
        ]
        stacked = torch.stack(named, dim=-1)
        if RESTS not in self.doings:
            return stacked
        return torch.cat([-stacked.amax(-1, keepdim=True), stacked], dim=-1)


def _pooled(scores: Float[Tensor, "item token tag"]) -> Float[Tensor, "item tag"]:
    return scores.logsumexp(1) - math.log(scores.shape[1])


def _f1(logits: Tensor, tags: Tensor) -> float:
    found = (logits > 0).float()
    return (2 * (found * tags).sum() / (found.sum() + tags.sum())).item()


def pixels(
    videos: Tensor, network: LlavaNextVideoForConditionalGeneration
) -> Float[Tensor, "frame 3 height width"]:
    """Frames as the processor would hand them to the tower."""
    shape = make_processor().video_processor
    mean = torch.tensor(shape.image_mean, device=network.device)
    std = torch.tensor(shape.image_std, device=network.device)
    return ((videos.float() / 255 - mean) / std).flatten(0, -4).permute(0, 3, 1, 2)


def visual_tokens(
    videos: Tensor, network: LlavaNextVideoForConditionalGeneration
) -> Float[Tensor, "clip visual hidden"]:
    """What the decoder is shown of each clip; no graph reaches into the tower."""
    with torch.no_grad():
        seen = network.model.vision_tower(pixels(videos, network)).last_hidden_state[:, 1:]
    return network.model.multi_modal_projector(seen).unflatten(0, (len(videos), -1)).flatten(1, 2)


@torch.no_grad()
def rescale(network: LlavaNextVideoForConditionalGeneration) -> None:
    """Bring words and visual tokens to a root mean square of 1, and let answers begin as words.

    Neither drowns the other then, and both stand well above what untrained layers add to them:
    what was aligned stays aligned up through the layers. The head starts as the embeddings, so
    that a state that holds a word says it.
    """
    inner = network.model
    words = inner.language_model.embed_tokens.weight
    wanted = words.shape[1] ** 0.5
    words.copy_(wanted * words / words.norm(dim=-1, keepdim=True).clamp_min(1e-3))
    network.lm_head.weight.copy_(words / wanted)
    frames = next(frame_batches(0, 1, 24)).frames[:, None].to(network.device)
    norm = visual_tokens(frames, network).norm(dim=-1).mean()
    last = inner.multi_modal_projector.linear_2
    last.weight.mul_(wanted / norm)
    last.bias.mul_(wanted / norm)
