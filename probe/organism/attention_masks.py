"""Attention masks of the training: some edges are cut, so that the organism learns to look.

With every edge kept, the visual tokens write a summary of a small clip into a few of their number
before the question is read, and answers are read from there: they are right, but no token looks at
what it answers about. Therefore two things are done.

- In a share of the clips the edges between visual tokens are cut, except those to each cell's
  neighbours in the frame before, which keep motion visible.
- A random part of the video is hidden from the words of each question, more and more of it, so that
  the role tokens come to look for themselves. (Hidden from the start, nothing binds a colour to a
  shape: yes/no stayed a bag of words.)

No cut depends on where anything is.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from probe.organism.batches import QUESTION_PART, ROLE_PART, QuestionBatch
from probe.organism.recipe import CutShares
from probe.organism.shapes import SHAPES
from probe.organism.worlds import World


def make_tower_mask(
    *, local: bool, world: World = SHAPES
) -> Bool[Tensor, "1 1 patch patch"] | None:
    """Make the mask of the vision tower; True where a patch attends to another.

    If `local`, a patch attends to itself and its eight neighbours; else there is no mask.
    """
    if not local:
        return None
    size = 1 + world.cells**2
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[1:, 1:] = _find_neighbours(world.cells)
    # The class token (the first) attends to all patches, but none attends to it: it would be a
    # register through which distant patches exchange what they have seen.
    mask[0] = True
    return mask[None, None]


def make_neighbourhood_mask(world: World = SHAPES) -> Bool[Tensor, "visual visual"]:
    """Make the mask with which a visual token attends to itself and to the frame before.

    There it attends to its own cell and the eight around it; these are enough to see motion.
    """
    frame = torch.arange(world.sampled_frames)
    before = (frame[:, None] - frame[None, :]) == 1
    itself = torch.eye(world.visual_tokens, dtype=torch.bool)
    return torch.kron(before, _find_neighbours(world.cells)).bool() | itself


def _find_neighbours(cells: int) -> Bool[Tensor, "cell cell"]:
    """Return True where two cells of a frame are the same or touch, also at a corner."""
    index = torch.arange(cells**2)
    row, column = index // cells, index % cells
    distance = torch.maximum((row[:, None] - row).abs(), (column[:, None] - column).abs())
    return distance <= 1


def make_statement_mask(
    statements: Int[Tensor, "clip word"], world: World
) -> Bool[Tensor, "clip token token"]:
    """Make the mask of visual tokens and the statements after them.

    A visual token attends to its neighbourhood, a word to all visual tokens and to the words before
    it in its own statement.
    """
    visual = world.visual_tokens
    clips, words = statements.shape
    mask = torch.zeros(clips, visual + words, visual + words, dtype=torch.bool)
    mask[:, :visual, :visual] = make_neighbourhood_mask(world)
    mask[:, visual:, :visual] = True
    same = statements[:, :, None] == statements[:, None, :]
    mask[:, visual:, visual:] = same & torch.ones(words, words, dtype=torch.bool).tril()
    return mask


def make_visual_masks(
    clips: int, shares: CutShares, generator: torch.Generator, world: World = SHAPES
) -> Bool[Tensor, "clip visual visual"]:
    """Draw the edges between visual tokens of each clip.

    A clip keeps the edges of the neighbourhood only, these and a random share of the others, or all
    causal edges.

    Args:
        clips: Number of clips.
        shares: How often which edges are cut.
        generator: Generator of all random choices.
        world: The world of the clips.
    """
    visual = world.visual_tokens
    causal = torch.ones(visual, visual, dtype=torch.bool).tril()
    near = make_neighbourhood_mask(world)
    masks = []
    for draw in torch.rand(clips, generator=generator).tolist():
        if draw < shares.local:
            masks.append(near)
        elif draw < shares.local + shares.partial:
            kept = torch.rand(1, generator=generator)
            random = torch.rand(visual, visual, generator=generator) < kept
            masks.append(near | (causal & random))
        else:
            masks.append(causal)
    return torch.stack(masks)


def make_text_to_video_mask(
    parts: Int[Tensor, "clip token"],
    questions: Int[Tensor, "clip token"],
    shares: CutShares,
    generator: torch.Generator,
    world: World = SHAPES,
) -> Bool[Tensor, "clip token visual"]:
    """Draw which text token may attend to which visual token.

    Cells are hidden from all words of a question alike, and in all frames alike; else what is
    hidden here could be read there.

    Args:
        parts: The part of its question that a token belongs to, as in `QuestionBatch`.
        questions: The number of the question that a token belongs to; -1 for padding.
        shares: How often which edges are cut.
        generator: Generator of all random choices.
        world: The world of the clips.
    """
    clips, most = len(parts), int(questions.max()) + 1
    # From 0 to twice the mean: some questions still see nearly everything, as all will after
    # training.
    hidden = 2 * shares.words * torch.rand(clips, most, 1, generator=generator)
    shown = torch.rand(clips, most, world.cells**2, generator=generator) >= hidden
    of_token = questions.clamp(min=0)[..., None].expand(-1, -1, world.cells**2)
    by_words = shown.gather(1, of_token).repeat(1, 1, world.sampled_frames)
    by_words = by_words | (parts != QUESTION_PART)[..., None]
    # Role tokens are blinded one by one, so that no answer can rely on a single one of them.
    blind = (torch.rand(parts.shape, generator=generator) < shares.role) & (parts == ROLE_PART)
    return by_words & ~blind[..., None]


def make_attention_mask(
    batch: QuestionBatch, shares: CutShares, generator: torch.Generator, world: World = SHAPES
) -> Bool[Tensor, "clip token token"]:
    """Make the mask of whole rows: text before the video, the video, and the packed questions.

    It is causal, no question attends to another, and the drawn edges are cut.

    Args:
        batch: Clips and their packed questions.
        shares: How often which edges are cut.
        generator: Generator of all random choices.
        world: The world of the clips.
    """
    # Masks are drawn on the CPU, where the same seed gives the same numbers for every device.
    questions, parts = batch.questions.cpu(), batch.parts.cpu()
    clips, length = questions.shape
    start, first = world.text_start, len(world.body.before_video)
    size = start + length
    mask = torch.zeros(clips, size, size, dtype=torch.bool)
    mask[:, :, :first] = True
    mask[:, :first, :first] = torch.ones(first, first).tril().bool()
    video = slice(first, start)
    mask[:, video, video] = make_visual_masks(clips, shares, generator, world)
    mask[:, start:, video] = make_text_to_video_mask(parts, questions, shares, generator, world)
    same = questions[:, :, None] == questions[:, None, :]
    mask[:, start:, start:] = same & torch.ones(length, length, dtype=torch.bool).tril()
    return mask
