"""The organism's training, whole: it learns to see, then to answer.

`tower_pretraining` has the first two stages. In the third, here, the language model learns to
answer packed questions, while the tower is fixed and edges are cut as `attention_masks` says.

No stage is given a box, a mask, a place or a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlavaNextVideoForConditionalGeneration

from probe.files import read_tensors, write_tensors
from probe.organism.attention_masks import make_attention_mask
from probe.organism.batches import (
    IGNORED_LABEL,
    QuestionBatch,
    make_question_batches,
    move_batch,
    split_batch,
)
from probe.organism.growth import measure_growth
from probe.organism.log import append_log_entry, enumerate_with_progress
from probe.organism.network import make_network, save_checkpoint
from probe.organism.optimisers import (
    list_matrices,
    list_other_parameters,
    make_optimisers,
    set_rate,
    take_step,
)
from probe.organism.pair_pretraining import train_on_pairs
from probe.organism.patch_filters import set_patch_filters
from probe.organism.recipe import CutShares, Recipe
from probe.organism.shapes import SHAPES
from probe.organism.stage_states import StageState, find_state
from probe.organism.statements import Judgements, StatementReader
from probe.organism.tag_reading import TagReader, TagScores, choose_part, count_clips_at_once
from probe.organism.tokens import get_token_ids
from probe.organism.tower_pretraining import (
    JUDGE_RATE_SCALE,
    embed_videos,
    rescale_embeddings,
    train_on_clips,
    train_on_frames,
)
from probe.organism.training_decoder import autocast_where_faster, run_layers
from probe.organism.worlds import World
from probe.pretraining.run_folders import Claim, claim_folder

READER = "reader."
"""Beginning of the names of the weights of a kept reader, in the file of a stage's weights."""

QUESTION_CLIPS_SEED = 2_000_003
"""Added to the recipe's seed, so that other clips are asked about than were tagged."""


def train(folder: Path, recipe: Recipe, device: str = "cpu", world: World = SHAPES) -> None:
    """Train an organism in a folder, from where an earlier run of the same recipe stopped.

    The run leaves `checkpoint/` (a Hugging Face folder), `log.jsonl`, `recipe.json`, and a file of
    weights for each stage; a run that stopped within a stage, also a state of it, from which it
    continues.

    Args:
        folder: Folder of the run; made if it is missing.
        recipe: Length and rates.
        device: Device to train on: cpu, cuda, cuda:1 ...
        world: The world that is learned.

    Raises:
        ValueError: if the folder contains a run of another recipe, or a file that is damaged, or no
            thing can have the words of a pair that is to be left out.
    """
    world = world.leave_out(recipe.without)
    with claim_folder(folder, Claim.of_recipe(recipe)):
        network: Any = make_network(recipe.seed, world)
        set_patch_filters(network, world)
        network.to(device)
        kept: Mapping[str, Tensor] = {}
        for name, train_stage in list_stages(recipe).items():
            weights = folder / f"{name}.safetensors"
            if not weights.exists():
                kept = train_stage(network, recipe, folder, world) or {}
                kept = {f"{READER}{key}": value for key, value in kept.items()}
                write_tensors(weights, {**network.state_dict(), **kept}, {"stage": name})
                find_state(folder, name).unlink(missing_ok=True)
            # Read back even right after writing, so that a continued run does exactly the same.
            tensors = dict(read_tensors(weights)[0])
            kept = {
                key.removeprefix(READER): tensors.pop(key)
                for key in list(tensors)
                if key.startswith(READER)
            }
            network.load_state_dict(tensors)
        train_on_questions(network, recipe, folder, world, kept)
        append_log_entry(folder, stage="end", peak_mb=getrusage(RUSAGE_SELF).ru_maxrss / 1024)
        save_checkpoint(network.cpu(), folder / "checkpoint", world)


def _train_on_frames(network: Any, recipe: Recipe, folder: Path, world: World) -> None:
    train_on_frames(network, recipe, folder, world)
    rescale_embeddings(network, world)


PRETRAINING_STAGES: Mapping[str, Any] = MappingProxyType(
    {"frames": _train_on_frames, "clips": train_on_clips}
)
"""The stages before the last, by the names of their files of weights."""


def list_stages(recipe: Recipe) -> Mapping[str, Any]:
    """List the stages before the last; pairs, if they teach the tower, come before all others."""
    pairs = {} if recipe.seeing == "tags" else {"seeing": train_on_pairs}
    return {**pairs, **PRETRAINING_STAGES}


def train_on_questions(
    network: LlavaNextVideoForConditionalGeneration,
    recipe: Recipe,
    folder: Path,
    world: World = SHAPES,
    kept: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Train the language model to answer questions, while the tower is fixed (stage three).

    Args:
        network: The organism after stage two, changed in place.
        recipe: Length, rates and cuts.
        folder: Folder of the run, for its log and its states.
        world: The world that is learned.
        kept: Weights of the reader of tags, if stage two has left them.
    """
    inner = network.model
    inner.vision_tower.requires_grad_(False)
    decoder, words = inner.language_model, inner.language_model.embed_tokens
    quick = [*list_other_parameters(decoder.layers), decoder.norm.weight, network.lm_head.weight]
    slow = [*inner.multi_modal_projector.parameters(), words.weight]
    torch.manual_seed(recipe.seed)
    reader = TagReader(decoder.config.hidden_size, world.clip_tags, world).to(network.device)
    if kept:
        reader.load_state_dict(kept)
    judge = StatementReader(decoder.config.hidden_size).to(network.device)
    groups = [
        {"params": quick, "rate_scale": 1.0},
        {"params": slow, "rate_scale": recipe.slow},
        *reader.make_groups(),
    ]
    learners = nn.ModuleDict({"network": network, "reader": reader})
    if recipe.statements:
        learners["judge"] = judge
        groups.append({"params": judge.parameters(), "rate_scale": JUDGE_RATE_SCALE})
    matrices = list_matrices(decoder.layers)
    optimisers = make_optimisers(matrices, groups, recipe.rate, recipe.decay)
    path = folder / "words.safetensors"
    state = StageState(path, learners, optimisers, recipe.steps, recipe.save_every)
    done = state.load()
    generator = torch.Generator()
    seed = recipe.seed + QUESTION_CLIPS_SEED
    stated = recipe.statements > 0
    batches = make_question_batches(seed, done, recipe.steps, recipe.clips, world, stated=stated)
    at_once = choose_part(recipe.clips, count_clips_at_once(world), network.device)
    network.train()
    compute_loss = _QuestionLoss(network, reader, judge, recipe, world)
    for step, batch in enumerate_with_progress(batches, recipe.steps, "words", done):
        set_rate(optimisers, recipe.rate, step, recipe.steps, warm=200)
        # A seed for each step: a continued run draws the cuts that the whole run would have drawn.
        generator.manual_seed(recipe.seed * 1_000_003 + step)
        mask = make_attention_mask(batch, _interpolate_shares(recipe, step), generator, world)
        readings = take_step(optimisers, _split(batch, mask, at_once), compute_loss)
        if step % 25 == 0:
            scores = _measure(readings, batch.tags, world)
            append_log_entry(folder, stage="words", step=step, **scores)
        state.save_if_due(step + 1)
    network.eval()


@dataclass(frozen=True)
class _Part:
    """Some clips of a batch, without the padding that none of them needs."""

    batch: QuestionBatch
    mask: Bool[Tensor, "clip token token"]
    answer_tokens: int
    """Tokens of answers in the whole batch, over which the loss is a mean."""


def _split(batch: QuestionBatch, mask: Tensor, size: int) -> list[_Part]:
    """Divide a batch and its mask into parts of up to `size` clips."""
    answers = int((batch.labels != IGNORED_LABEL).sum())
    before_text = mask.shape[1] - batch.ids.shape[1]
    parts = []
    for part, edges in zip(split_batch(batch, size), mask.split(size), strict=True):
        longest = int((part.questions >= 0).sum(1).max())
        whole = before_text + longest
        parts.append(_Part(part.shorten(longest), edges[:, :whole, :whole], answers))
    return parts


@dataclass(frozen=True)
class _Reading:
    """Answers and tags, as read from a part of a batch."""

    loss: Float[Tensor, ""]
    """Its share in the loss on answers."""
    logits: Float[Tensor, "answer word"]
    """Logits of each token of the answers."""
    labels: Int[Tensor, " answer"]
    tags: TagScores
    judged: Judgements


@dataclass(frozen=True)
class _QuestionLoss:
    """The loss of stage three: on answers, on statements, and on tags, which are rehearsed."""

    network: Any
    reader: TagReader
    judge: StatementReader
    recipe: Recipe
    world: World

    def __call__(self, part: _Part) -> tuple[Tensor, _Reading]:
        """Compute the share of a part in the loss."""
        decoder, device = self.network.model.language_model, self.network.device
        batch = move_batch(part.batch, device)
        with autocast_where_faster(device):
            flow = forward_batch(self.network, batch, part.mask, self.world)
        counted = batch.labels != IGNORED_LABEL
        logits, labels = flow.logits[counted].float(), batch.labels[counted]
        answered = cross_entropy(logits, labels, reduction="sum") / part.answer_tokens
        # Without a rehearsal the lowest layers forgot within 300 steps how things move. All tags
        # weigh alike in it: what things are was forgotten at a tenth of the weight of acts.
        embedded, seen = (flow.states[place][:, flow.video].float() for place in (0, -1))
        seen = decoder.norm(seen)
        tags = self.reader(seen, seen, decoder.embed_tokens.weight, embedded)
        besides = self.recipe.rehearsal * tags.compute_loss(batch.tags, plain_weight=1.0)
        if self.recipe.growth:
            besides = besides + self.recipe.growth * measure_growth(flow.states, flow.video)
        judged = self.judge(flow.text.float(), batch.truth)
        if self.recipe.statements:
            besides = besides + self.recipe.statements * judged.compute_loss()
        read = _Reading(answered.detach(), logits.detach(), labels, tags.detach(), judged.detach())
        return answered + len(batch.tags) / self.recipe.clips * besides, read


def compute_answer_logits(
    network: LlavaNextVideoForConditionalGeneration,
    batch: QuestionBatch,
    shares: CutShares,
    generator: torch.Generator,
    world: World = SHAPES,
) -> Float[Tensor, "clip token word"]:
    """Compute the next-token logits of the text after each clip.

    Args:
        network: The organism.
        batch: Clips and questions.
        shares: How often edges of the attention are cut.
        generator: Generator of the random choices of cuts.
        world: The world of the clips.
    """
    mask = make_attention_mask(batch, shares, generator, world)
    return forward_batch(network, move_batch(batch, network.device), mask, world).logits


@dataclass(frozen=True)
class Flow:
    """The states of a pass through the network, which reads videos and the text after them."""

    logits: Float[Tensor, "clip word_token word"]
    """Next-token logits of the text after the video."""
    text: Float[Tensor, "clip word_token hidden"]
    """The last states of this text, normalised, from which the logits are computed."""
    states: Sequence[Float[Tensor, "clip token hidden"]]
    """All tokens as they enter the decoder, and after each layer of stage two."""
    video: slice
    """Places of the visual tokens."""


def forward_batch(
    network: LlavaNextVideoForConditionalGeneration,
    batch: QuestionBatch,
    mask: Bool[Tensor, "clip place place"],
    world: World = SHAPES,
) -> Flow:
    """Run the network on clips and their packed questions.

    Args:
        network: The organism.
        batch: Clips and questions, on the network's device.
        mask: True where a token attends to another, on the CPU.
        world: The world of the clips.
    """
    clips, device = len(batch.videos), network.device
    inner = network.model
    visual = embed_videos(batch.videos, network, world)
    words = inner.language_model.embed_tokens
    start = world.text_start
    first = torch.tensor(get_token_ids(world.body.before_video, world), device=device)
    before = words(first).expand(clips, -1, -1)
    text = words(batch.ids)
    places = torch.arange(start, device=device).expand(clips, -1)
    # The language model is run without the class around it, which would run the tower with a graph,
    # and the head on visual tokens, from which nothing is predicted.
    last, states = run_layers(
        inner.language_model,
        torch.cat([before, visual.to(text.dtype), text], dim=1),
        torch.cat([places, start + batch.places], dim=1),
        mask,
        world.body.clip_stage_layers,
        start,
    )
    return Flow(network.lm_head(last), last, states, slice(len(first), start))


def _interpolate_shares(recipe: Recipe, step: int) -> CutShares:
    """Compute the cuts of a step: the first shares, then on a straight line to the last."""
    begin, end = recipe.shift
    done = min(1.0, max(0.0, (step / recipe.steps - begin) / (end - begin)))
    first, last = asdict(recipe.cut_first), asdict(recipe.cut_last)
    return CutShares(**{name: (1 - done) * first[name] + done * last[name] for name in first})


def _measure(readings: Sequence[_Reading], tags: Tensor, world: World) -> dict[str, float]:
    """Measure the loss on answers, and the shares of words and tags that are right.

    Args:
        readings: What was read from the parts of a batch.
        tags: The tags of its clips.
        world: The world that is learned.
    """
    logits = torch.cat([one.logits for one in readings])
    labels = torch.cat([one.labels for one in readings])
    yes, no = get_token_ids(["Yes", "No"], world)
    polar = (labels == yes) | (labels == no)
    said = torch.where(logits[:, yes] > logits[:, no], yes, no)
    return {
        **Judgements.measure([one.judged for one in readings]),
        **TagScores.join([one.tags for one in readings]).measure(tags),
        "loss": torch.stack([one.loss for one in readings]).sum().item(),
        "yes_no": (said == labels)[polar].float().mean().item(),
        "other": (logits.argmax(-1) == labels)[~polar].float().mean().item(),
    }
