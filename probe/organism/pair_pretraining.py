"""The organism's tower learns to see from pairs of frames and captions, and not from tags.

A caption names everything in the frame, in random order: "red circle glows blue square". Towers
learn from such pairs by InfoNCE, as CLIP does, or with prototypes, too, as ProtoCLIP does. The
text tower and the heads are then left, and stage one goes on with the tower as it is: projector and
word embeddings are aligned with its cells by tags, as in every organism. So the way in which the
tower learned to see is the one thing that differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from probe.organism.attention_masks import make_tower_mask
from probe.organism.optimisers import list_matrices, list_other_parameters, make_optimisers
from probe.organism.recipe import Recipe
from probe.organism.tokens import encode, open_tokenizer
from probe.organism.tower_pretraining import (
    FRAME_CLIPS_SEED,
    LOCAL_TOWER_SHARE,
    normalise_frames,
)
from probe.organism.worlds import RESTS, World
from probe.pretraining.learner import PairLearner, Towers
from probe.pretraining.recipe import PairRecipe
from probe.pretraining.runs import PairRun, learn_pairs

EPISODES = 20
"""Most episodes into which the steps of the first stage are divided."""

LONGEST_CAPTION = 64
"""Tokens of a caption; what is more is cut off."""

WIDTH, TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 128, 128, 2, 4
"""Width of the embeddings, and sizes of the text tower."""

PAIRS_A_PROTOTYPE = 10
"""Pairs of an episode for each prototype, as published."""


def make_pair_recipe(recipe: Recipe, world: World) -> PairRecipe:
    """Make the settings of learning from pairs that take as many steps and frames as tags would."""
    batch = recipe.frame_clips * world.frames_a_clip
    episodes = min(EPISODES, recipe.frame_steps)
    pairs = recipe.frame_steps // episodes * batch
    return PairRecipe(
        seed=recipe.seed,
        episodes=episodes,
        episode_pairs=pairs,
        batch=batch,
        rate=recipe.frame_rate,
        warm_steps=min(100, max(1, recipe.frame_steps // 4)),
        decay=0.0,
        largest_gradient=1.0,
        warm_episodes=max(1, episodes // 10),
        # Locked episodes would teach the text tower, which is left afterwards.
        locked_episodes=0,
        prototypes=max(2, pairs // PAIRS_A_PROTOTYPE),
        prototype_weight=1.0 if recipe.seeing == "protoclip" else 0.0,
        head_hidden=256,
        head_width=64,
        cluster_restarts=1,
    )


def train_on_pairs(network: Any, recipe: Recipe, folder: Path, world: World) -> None:
    """Train the vision tower on pairs of frames and captions, before stage one.

    Args:
        network: The organism, whose vision tower is changed in place.
        recipe: Length, rate, and the way to learn.
        folder: Folder of the organism's run; the state of this stage is in its folder `seeing`.
        world: The world that is learned.
    """
    settings = make_pair_recipe(recipe, world)
    device = network.device
    torch.manual_seed(recipe.seed)
    image = CellTower(
        network.model.vision_tower,
        world,
        lambda frames: normalise_frames(frames[:, None], network, world),
    )
    towers = Towers(image, CaptionTower(world), WIDTH)
    learner = PairLearner(towers, settings)
    pairs = FramePairs(world, recipe.seed + FRAME_CLIPS_SEED, settings.batch * recipe.frame_steps)
    run = PairRun(folder / "seeing", str(device), workers=1, make_optimisers=_make_optimisers)
    learn_pairs(learner, pairs, settings, run)


@dataclass(frozen=True)
class FramePairs:
    """Frames of a world's clips with captions, drawn when they are read."""

    world: World
    seed: int
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self, index: int, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return a frame and the token ids of its caption; the seed sets the order of words."""
        clip = self.world.make_clip((self.seed, index // self.world.frames_a_clip))
        # The frame follows from the pair alone: drawn again, it is the same picture.
        frame = int(np.random.default_rng((self.seed, index, 2)).integers(self.world.length))
        shown = sorted(self.world.list_frame_tags(clip, frame))
        order = np.random.default_rng(seed).permutation(len(shown))
        ids = encode_caption([shown[place] for place in order], self.world)
        return torch.from_numpy(clip.frame(frame)), ids


def encode_caption(tags: Sequence[tuple[str, ...]], world: World) -> Int[Tensor, " token"]:
    """Return the token ids of the phrases of tags, one after the other, padded at the end."""
    # The vocabulary has no word for a thing that does nothing.
    phrases = [phrase for tag in tags for phrase in tag if phrase != RESTS]
    ids = [token for phrase in phrases for token in encode(phrase, world)][:LONGEST_CAPTION]
    padding: Any = open_tokenizer(world).pad_token_id
    return torch.tensor(ids + [padding] * (LONGEST_CAPTION - len(ids)))


class CellTower(nn.Module):
    """The organism's vision tower, averaged over its cells, and a linear map to the embedding.

    The class token is left out: the decoder gets the cells, so that these have to learn to see.
    """

    def __init__(self, tower: Any, world: World, normalise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.tower = tower
        self.out = nn.Linear(tower.config.hidden_size, WIDTH, bias=False)
        self.world, self.normalise = world, normalise

    def forward(self, frames: Tensor) -> Float[Tensor, "pair width"]:
        """Compute the embeddings of frames from 0 to 255."""
        # As where tags teach: in most batches a cell sees only its neighbours, and so says what
        # lies there.
        local = self.training and bool(torch.rand(1) < LOCAL_TOWER_SHARE)
        mask = make_tower_mask(local=local, world=self.world)
        seen = self.tower(
            self.normalise(frames),
            attention_mask=None if mask is None else mask.to(frames.device),
        ).last_hidden_state[:, 1:]
        return self.out(seen.mean(dim=1))


class CaptionTower(nn.Module):
    """A small transformer over the words of a caption, averaged."""

    def __init__(self, world: World) -> None:
        super().__init__()
        tokenizer = open_tokenizer(world)
        self.padding: Any = tokenizer.pad_token_id
        self.words = nn.Embedding(len(tokenizer), TEXT_WIDTH)
        self.places = nn.Parameter(0.01 * torch.randn(LONGEST_CAPTION, TEXT_WIDTH))
        layer = nn.TransformerEncoderLayer(
            *(TEXT_WIDTH, TEXT_HEADS, 2 * TEXT_WIDTH, 0.0, "gelu"),
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, TEXT_LAYERS, enable_nested_tensor=False)
        self.out = nn.Linear(TEXT_WIDTH, WIDTH, bias=False)

    def forward(self, ids: Int[Tensor, "pair token"]) -> Float[Tensor, "pair width"]:
        """Compute the embeddings of captions."""
        # Captions of a batch are shorter than the longest that may be, often by three quarters.
        used = (ids != self.padding).any(dim=0).sum().clamp_min(1)
        ids = ids[:, :used]
        said = ids != self.padding
        # A frame may show nothing that is named; its caption is then one word of padding.
        said[:, 0] = True
        hidden = self.layers(self.words(ids) + self.places[:used], src_key_padding_mask=~said)
        return self.out((hidden * said[..., None]).sum(1) / said.sum(1, keepdim=True))


def _make_optimisers(learner: PairLearner, recipe: PairRecipe) -> Sequence[torch.optim.Optimizer]:
    """Make the organism's own optimisers: Muon for matrices, AdamW for everything else."""
    towers = learner.towers
    rest = nn.ModuleList([towers.text, learner.image_head, learner.text_head])
    scales = [learner.pair_scale, learner.prototype_scale]
    made = []
    for side, module, more in (("image", towers.image, []), ("rest", rest, scales)):
        others = [{"params": [*list_other_parameters(module), *more], "rate_scale": 1.0}]
        for optimiser in make_optimisers(list_matrices(module), others, recipe.rate):
            for group in optimiser.param_groups:
                group["side"] = side
            made.append(optimiser)
    return made
