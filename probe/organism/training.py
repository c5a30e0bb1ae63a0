"""How the organism is raised: first to see, then to answer.

1. *Tags.* The vision tower, the projector and the word embeddings learn which tag sets ("red
   circle, glowing") a frame carries: multiple-instance learning, a frame's score for a tag being
   the log-sum-exp over its patches. This is the organism's CLIP and LLaVA's first stage in one.
2. *Words.* With the tower at rest the language model learns to answer packed questions, with
   edges cut as `cuts` says; fewer and fewer cuts towards the end.

Nothing here knows a box, a mask, a place or a time.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from tqdm.auto import tqdm
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.cuts import VISUAL, sees_video, tower_mask, visual_mask
from probe.organism.lessons import (
    BEFORE,
    IGNORED,
    TAG_STATES,
    TAGS,
    QuestionBatch,
    TagBatch,
    moved,
    question_batches,
    tag_batches,
)
from probe.organism.network import make_network, make_processor, save, token_ids
from probe.organism.recipe import Recipe, Shares

START = len(BEFORE) + VISUAL
"""Where the text behind the video starts."""


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
    if not (folder / "tags.safetensors").exists():
        learn_tags(network, recipe, folder)
        rescale(network)
        _write_state(folder / "tags.safetensors", network.state_dict())
    network.load_state_dict(load_file(folder / "tags.safetensors"))
    learn_words(network, recipe, folder)
    save(network.cpu(), folder / "checkpoint")


def _keep_recipe(path: Path, recipe: Recipe) -> None:
    described = json.dumps(asdict(recipe), indent=1)
    if path.exists() and path.read_text() != described:
        raise ValueError(f"{path}: a run of another recipe; give another folder or the same recipe")
    path.write_text(described)


def pixels(
    videos: Tensor, network: LlavaNextVideoForConditionalGeneration
) -> Float[Tensor, "frame 3 height width"]:
    """Frames as the processor would hand them to the tower."""
    shape = make_processor().video_processor
    mean = torch.tensor(shape.image_mean, device=network.device)
    std = torch.tensor(shape.image_std, device=network.device)
    return ((videos.float() / 255 - mean) / std).flatten(0, -4).permute(0, 3, 1, 2)


def learn_tags(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe, folder: Path
) -> None:
    """Stage one: what is in a frame, from tags of the whole frame."""
    inner = network.model
    words = inner.language_model.embed_tokens.weight
    reader = TagReader(inner.vision_tower.config.hidden_size).to(network.device)
    groups = [
        {"params": [*inner.vision_tower.parameters(), *reader.head.parameters()], "k": 1.0},
        {"params": [*inner.multi_modal_projector.parameters(), words], "k": 1.0},
        {"params": [reader.scale, reader.bias], "k": 10.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.tag_rate, betas=(0.9, 0.98), weight_decay=0.0)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = tag_batches(recipe.seed + 1_000_003, recipe.tag_steps, recipe.tag_clips)
    for step, batch in _progress(batches, recipe.tag_steps, "tags"):
        _set_rate(optimiser, recipe.tag_rate, step, recipe.tag_steps, warm=100)
        batch: TagBatch = moved(batch, network.device)
        local = bool(torch.rand(1, generator=generator) < 0.7)
        mask = tower_mask(local=local)
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            seen = inner.vision_tower(
                pixels(batch.frames, network),
                attention_mask=None if mask is None else mask.to(network.device),
            ).last_hidden_state[:, 1:]
            projected = inner.multi_modal_projector(seen)
        by_head, by_words = reader(seen.float(), projected.float(), words)
        loss = binary_cross_entropy_with_logits(by_head, batch.tags)
        loss = loss + binary_cross_entropy_with_logits(by_words, batch.tags)
        _step(optimiser, loss)
        if step % 50 == 0:
            scores = {"f1_head": _f1(by_head, batch.tags), "f1_words": _f1(by_words, batch.tags)}
            _log(folder, stage="tags", step=step, loss=loss.item(), **scores)


class TagReader(nn.Module):
    """Reads tag sets off patches: by a linear head, and by the words of the language model."""

    ids: Tensor
    states: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, len(TAGS))
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-8.0))
        unknown = 0
        ids = [
            [unknown if word == TAG_STATES[0] else token_ids([word])[0] for word in tag]
            for tag in TAGS
        ]
        self.register_buffer("ids", torch.tensor(ids))
        self.register_buffer("states", torch.tensor(token_ids(TAG_STATES[1:])))

    def forward(
        self,
        seen: Float[Tensor, "frame patch width"],
        projected: Float[Tensor, "frame patch hidden"],
        words: Float[Tensor, "word hidden"],
    ) -> tuple[Float[Tensor, "frame tag"], Float[Tensor, "frame tag"]]:
        """The logit of each tag set for each frame, by both ways."""
        patches = seen.shape[1]
        by_head = self.head(seen).logsumexp(1) - math.log(patches)
        cosine = normalize(projected, dim=-1) @ normalize(words, dim=-1).T
        resting = -cosine[:, :, self.states].amax(-1, keepdim=True)
        state = torch.where(self.ids[:, 2] > 0, cosine[:, :, self.ids[:, 2]], resting)
        score = cosine[:, :, self.ids[:, 0]] + cosine[:, :, self.ids[:, 1]] + state
        return by_head, (score * self.scale).logsumexp(1) + self.bias


@torch.no_grad()
def rescale(network: LlavaNextVideoForConditionalGeneration) -> None:
    """Bring words and visual tokens to a root mean square of 1.

    Neither drowns the other then, and both stand well above what untrained layers add to them:
    what was aligned stays aligned up through the layers.
    """
    inner = network.model
    words = inner.language_model.embed_tokens.weight
    wanted = words.shape[1] ** 0.5
    words.copy_(wanted * words / words.norm(dim=-1, keepdim=True).clamp_min(1e-3))
    batch = next(tag_batches(0, 1, 24))
    seen = inner.vision_tower(pixels(batch.frames.to(network.device), network))
    norm = inner.multi_modal_projector(seen.last_hidden_state[:, 1:]).norm(dim=-1).mean()
    last = inner.multi_modal_projector.linear_2
    last.weight.mul_(wanted / norm)
    last.bias.mul_(wanted / norm)


def learn_words(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe, folder: Path
) -> None:
    """Stage two: answering questions, the tower at rest."""
    network.model.vision_tower.requires_grad_(False)
    network.set_attn_implementation("eager")  # on CPUs far faster to learn with than masked sdpa
    optimiser = torch.optim.AdamW(_groups(network, recipe), lr=recipe.rate, betas=(0.9, 0.98))
    done = _resume(folder / "words.safetensors", network, optimiser)
    generator = torch.Generator()
    batches = question_batches(recipe.seed + 2_000_003, done, recipe.steps, recipe.clips)
    network.train()
    for step, batch in _progress(batches, recipe.steps, "words", done):
        _set_rate(optimiser, recipe.rate, step, recipe.steps, warm=200)
        generator.manual_seed(recipe.seed * 1_000_003 + step)
        batch: QuestionBatch = moved(batch, network.device)
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            logits = answer_logits(network, batch, _shares(recipe, step), generator)
        counted = batch.labels != IGNORED
        loss = cross_entropy(logits[counted].float(), batch.labels[counted])
        _step(optimiser, loss)
        if step % 25 == 0:
            _log(folder, stage="words", step=step, loss=loss.item(), **_accuracies(logits, batch))
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _store(folder / "words.safetensors", network, optimiser, step + 1)
    network.eval()


def answer_logits(
    network: LlavaNextVideoForConditionalGeneration,
    batch: QuestionBatch,
    shares: Shares,
    generator: torch.Generator,
) -> Float[Tensor, "clip token word"]:
    """The next-token logits of the text behind each clip."""
    clips, device = len(batch.videos), network.device
    inner = network.model
    with torch.no_grad():
        seen = inner.vision_tower(pixels(batch.videos, network)).last_hidden_state[:, 1:]
    visual = inner.multi_modal_projector(seen).reshape(clips, VISUAL, -1)
    words = inner.language_model.embed_tokens
    before = words(torch.tensor(token_ids(BEFORE), device=device)).expand(clips, -1, -1)
    text = words(batch.ids)
    places = torch.arange(START, device=device).expand(clips, -1)
    hidden = inner.language_model(
        inputs_embeds=torch.cat([before, visual.to(text.dtype), text], dim=1),
        attention_mask=additive(edges(batch, shares, generator), text)[:, None],
        position_ids=torch.cat([places, START + batch.places], dim=1),
        use_cache=False,
    ).last_hidden_state
    return network.lm_head(hidden[:, START:])


def additive(
    mask: Bool[Tensor, "clip token token"], like: Tensor
) -> Float[Tensor, "clip token token"]:
    """The same edges as a term to add to attention scores, of the type these will have."""
    kind = like.device.type
    scored = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
    cut = torch.zeros(mask.shape, dtype=scored).masked_fill(~mask, -1e9)
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
    mask[:, START:, video] = sees_video(roles, questions, shares, generator)[:, :, None]
    same = questions[:, :, None] == questions[:, None, :]
    mask[:, START:, START:] = same & torch.ones(length, length, dtype=torch.bool).tril()
    return mask


def _shares(recipe: Recipe, step: int) -> Shares:
    """Cuts at a step: the first shares, then in a straight line towards the last."""
    done = max(0.0, (step / recipe.steps - recipe.loosen) / (1 - recipe.loosen))
    first, last = asdict(recipe.cut_first), asdict(recipe.cut_last)
    return Shares(**{name: (1 - done) * first[name] + done * last[name] for name in first})


def _groups(
    network: LlavaNextVideoForConditionalGeneration, recipe: Recipe
) -> list[dict[str, Any]]:
    slow = [
        *network.model.multi_modal_projector.parameters(),
        *network.model.language_model.embed_tokens.parameters(),
    ]
    kept = {id(parameter) for parameter in slow}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in kept]
    return [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe.decay, "k": 1.0},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0, "k": 1.0},
        {"params": slow, "weight_decay": 0.0, "k": recipe.slow},
    ]


def _set_rate(
    optimiser: torch.optim.Optimizer, rate: float, step: int, steps: int, warm: int
) -> None:
    """Linear warm-up, then half a cosine down to a twentieth."""
    falling = 0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2
    for group in optimiser.param_groups:
        group["lr"] = group["k"] * rate * min(1.0, (step + 1) / warm) * falling


def _step(optimiser: torch.optim.Optimizer, loss: Any) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_((p for g in optimiser.param_groups for p in g["params"]), 1.0)
    optimiser.step()


def _progress(batches: Iterator[Any], steps: int, name: str, done: int = 0) -> Iterator[Any]:
    return enumerate(tqdm(batches, desc=name, total=steps, initial=done), start=done)


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


def _f1(logits: Tensor, tags: Tensor) -> float:
    found = (logits > 0).float()
    return (2 * (found * tags).sum() / (found.sum() + tags.sum())).item()


def _log(folder: Path, **entry: Any) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in entry.items()}
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps({**rounded, "time": round(time.time(), 1)}) + "\n")


def _write_state(path: Path, tensors: dict[str, Tensor]) -> None:
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(path)


def _store(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, done: int) -> None:
    moments = {
        f"optimiser.{index}.{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    _write_state(path, {**weights, **moments, "done": torch.tensor(done)})


def _resume(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Put network and optimiser where an earlier run left them; how many steps were done."""
    if not path.exists():
        return 0
    stored = load_file(path)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in stored.items() if k.startswith("network.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        if name.startswith("optimiser."):
            _, index, moment = name.split(".")
            state.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return int(stored["done"])
