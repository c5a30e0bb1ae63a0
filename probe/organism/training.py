"""How the organism is raised: it learns to see, then to answer.

`seeing` holds the first two stages. In the third, here, the language model learns to answer packed
questions, the tower at rest and edges cut as `cuts` says. The tags of each clip are rehearsed
meanwhile: without that, the lowest layers forget within a few hundred steps how things move.

Nothing here knows a box, a mask, a place or a time.
"""

import json
from dataclasses import asdict
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.cuts import START, sees_video, visual_mask
from probe.organism.lessons import BEFORE, IGNORED, QuestionBatch, moved, question_batches
from probe.organism.log import log, progress
from probe.organism.network import WATCHING, make_network, save, token_ids
from probe.organism.optimisers import (
    Optimisers,
    descend,
    matrices,
    moments,
    optimisers,
    others,
    remember,
    set_rate,
)
from probe.organism.recipe import Recipe, Shares
from probe.organism.rows import learn_by_rows
from probe.organism.seeing import TagReader, learn_clips, learn_frames, rescale, visual_tokens
from probe.organism.world import ACTIONS


def train(folder: Path, recipe: Recipe, device: str = "cpu") -> None:
    """Raise an organism in `folder`; continues where an earlier run of the same recipe stopped.

    Leaves `checkpoint/` (a Hugging Face folder), `log.jsonl` and the states to continue from.

    Raises:
        ValueError: if the folder holds a run of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _keep_recipe(folder / "recipe.json", recipe)
    network: Any = make_network(recipe.seed)
    network.to(device)
    learn_by_rows(network.model.language_model)
    for name, learn in SEEING.items():
        seen = folder / f"{name}.safetensors"
        if not seen.exists():
            learn(network, recipe, folder)
            _write_state(seen, network.state_dict())
        network.load_state_dict(load_file(seen))
    learn_words(network, recipe, folder)
    log(folder, stage="end", peak_mb=getrusage(RUSAGE_SELF).ru_maxrss / 1024)
    save(network.cpu(), folder / "checkpoint")


def _frames(network: Any, recipe: Recipe, folder: Path) -> None:
    learn_frames(network, recipe, folder)
    rescale(network)


SEEING = {"frames": _frames, "clips": learn_clips}
"""The stages before the last, each of which leaves a file of weights."""


def _keep_recipe(path: Path, recipe: Recipe) -> None:
    described = json.dumps(asdict(recipe), indent=1)
    if path.exists() and path.read_text() != described:
        raise ValueError(f"{path}: a run of another recipe; give another folder or the same recipe")
    path.write_text(described)


def learn_words(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe, folder: Path
) -> None:
    """Stage three: answering questions, the tower at rest."""
    inner = network.model
    inner.vision_tower.requires_grad_(False)
    decoder, words = inner.language_model, inner.language_model.embed_tokens
    quick = [*others(decoder.layers), decoder.norm.weight, network.lm_head.weight]
    slow = [*inner.multi_modal_projector.parameters(), words.weight]
    torch.manual_seed(recipe.seed)
    reader = TagReader(decoder.config.hidden_size, ACTIONS).to(network.device)
    groups = [{"params": quick, "k": 1.0}, {"params": slow, "k": recipe.slow}, *reader.groups()]
    moving = optimisers(matrices(decoder.layers), groups, recipe.rate, recipe.decay)
    learners = nn.ModuleDict({"network": network, "reader": reader})
    done = _resume(folder / "words.safetensors", learners, moving)
    generator = torch.Generator()
    batches = question_batches(recipe.seed + 2_000_003, done, recipe.steps, recipe.clips)
    network.train()
    for step, batch in progress(batches, recipe.steps, "words", done):
        set_rate(moving, recipe.rate, step, recipe.steps, warm=200)
        generator.manual_seed(recipe.seed * 1_000_003 + step)
        batch: QuestionBatch = moved(batch, network.device)
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            logits, watched = heard_and_seen(network, batch, _shares(recipe, step), generator)
        counted = batch.labels != IGNORED
        loss = cross_entropy(logits[counted].float(), batch.labels[counted])
        seen = decoder.norm(watched.float())
        rehearsed, f1 = reader(seen, seen, words.weight, batch.tags)
        descend(moving, loss + recipe.rehearsal * rehearsed)
        if step % 25 == 0:
            scores = {**_accuracies(logits, batch), **f1}
            log(folder, stage="words", step=step, loss=loss.item(), **scores)
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _store(folder / "words.safetensors", learners, moving, step + 1)
    network.eval()


def answer_logits(
    network: LlavaNextVideoForConditionalGeneration,
    batch: QuestionBatch,
    shares: Shares,
    generator: torch.Generator,
) -> Float[Tensor, "clip token word"]:
    """The next-token logits of the text behind each clip."""
    return heard_and_seen(network, batch, shares, generator)[0]


def heard_and_seen(
    network: LlavaNextVideoForConditionalGeneration,
    batch: QuestionBatch,
    shares: Shares,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "clip token word"], Float[Tensor, "clip visual hidden"]]:
    """Next-token logits of the text, and visual tokens as the layers that watch leave them."""
    clips, device = len(batch.videos), network.device
    inner = network.model
    visual = visual_tokens(batch.videos, network)
    words = inner.language_model.embed_tokens
    before = words(torch.tensor(token_ids(BEFORE), device=device)).expand(clips, -1, -1)
    text = words(batch.ids)
    places = torch.arange(START, device=device).expand(clips, -1)
    passed = inner.language_model(
        inputs_embeds=torch.cat([before, visual.to(text.dtype), text], dim=1),
        attention_mask=additive(edges(batch, shares, generator), text)[:, None],
        position_ids=torch.cat([places, START + batch.places], dim=1),
        use_cache=False,
        output_hidden_states=True,
    )
    watched = passed.hidden_states[WATCHING][:, len(BEFORE) : START]
    return network.lm_head(passed.last_hidden_state[:, START:]), watched


def additive(
    mask: Bool[Tensor, "clip token token"], like: Tensor
) -> Float[Tensor, "clip token token"]:
    """The same edges as a term to add to attention scores, of the type these will have."""
    kind = like.device.type
    scored = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
    cut = torch.zeros(mask.shape, dtype=scored).masked_fill(
        ~mask, max(-1e9, torch.finfo(scored).min / 2)
    )
    return cut.to(like.device)


def edges(
    batch: QuestionBatch, shares: Shares, generator: torch.Generator
) -> Bool[Tensor, "clip token token"]:
    """Which position sees which: causal, no question another's, less what is cut."""
    questions, roles = batch.questions.cpu(), batch.roles.cpu()
    clips, length = questions.shape
    size = START + length
    mask = torch.zeros(clips, size, size, dtype=torch.bool)
    mask[:, :, : len(BEFORE)] = True
    mask[:, : len(BEFORE), : len(BEFORE)] = torch.ones(len(BEFORE), len(BEFORE)).tril().bool()
    video = slice(len(BEFORE), START)
    mask[:, video, video] = visual_mask(clips, shares, generator)
    mask[:, START:, video] = sees_video(roles, questions, shares, generator)
    same = questions[:, :, None] == questions[:, None, :]
    mask[:, START:, START:] = same & torch.ones(length, length, dtype=torch.bool).tril()
    return mask


def _shares(recipe: Recipe, step: int) -> Shares:
    """Cuts at a step: the first shares, then in a straight line towards the last."""
    begin, end = recipe.shift
    done = min(1.0, max(0.0, (step / recipe.steps - begin) / (end - begin)))
    first, last = asdict(recipe.cut_first), asdict(recipe.cut_last)
    return Shares(**{name: (1 - done) * first[name] + done * last[name] for name in first})


def _accuracies(logits: Tensor, batch: QuestionBatch) -> dict[str, float]:
    """Share of yes/no answers right, and of the other answer tokens."""
    yes, no = token_ids(["Yes", "No"])
    polar = (batch.labels == yes) | (batch.labels == no)
    said = torch.where(logits[..., yes] > logits[..., no], yes, no)
    other = (batch.labels != IGNORED) & ~polar
    return {
        "yes_no": (said == batch.labels)[polar].float().mean().item(),
        "other": (logits.argmax(-1) == batch.labels)[other].float().mean().item(),
    }


def _write_state(path: Path, tensors: dict[str, Tensor]) -> None:
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(path)


def _store(path: Path, learners: nn.Module, moving: Optimisers, done: int) -> None:
    remembered = {f"optimiser.{name}": value for name, value in moments(moving).items()}
    _write_state(path, {**learners.state_dict(), **remembered, "done": torch.tensor(done)})


def _resume(path: Path, learners: nn.Module, moving: Optimisers) -> int:
    """Put learners and optimisers where an earlier run left them; how many steps were done."""
    if not path.exists():
        return 0
    stored = load_file(path)
    prefix = "optimiser."
    learners.load_state_dict({name: stored[name] for name in learners.state_dict()})
    remember(moving, {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)})
    return int(stored["done"])
