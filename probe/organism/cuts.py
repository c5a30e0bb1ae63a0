"""Attention edges that are cut while the organism learns, so that it learns to look.

With every edge in place the visual tokens write a summary of a small clip into a few of their
number before the question is read, and answers are read from there: right, without looking. So
for a share of the clips the edges between visual tokens are cut down to each cell's neighbours in
the frame before (which keep motion visible), and a random part of the video is hidden from the
words of each question, more and more of it, so that the role tokens come to look for themselves.
(Hidden from the start, nothing binds a colour to a shape: yes/no stayed a bag of words.)
No cut knows where anything is.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from probe.organism.lessons import BEFORE
from probe.organism.network import CELLS
from probe.organism.recipe import Shares
from probe.organism.world import SAMPLED

VISUAL = SAMPLED * CELLS * CELLS
"""Visual tokens of a clip."""

START = len(BEFORE) + VISUAL
"""Where the text behind the video starts."""


def tower_mask(*, local: bool) -> Bool[Tensor, "1 1 patch patch"] | None:
    """In the vision tower: a patch sees its eight neighbours, and no class token."""
    if not local:
        return None
    mask = torch.zeros(1 + CELLS * CELLS, 1 + CELLS * CELLS, dtype=torch.bool)
    mask[1:, 1:] = _near(CELLS * CELLS)
    mask[0] = True
    return mask[None, None]


def neighbourhood() -> Bool[Tensor, "visual visual"]:
    """Which visual token sees which: itself, and around its place in the frame before."""
    cells = CELLS * CELLS
    frame = torch.arange(SAMPLED)
    before = (frame[:, None] - frame[None, :]) == 1
    return torch.kron(before, _near(cells)).bool() | torch.eye(VISUAL, dtype=torch.bool)


def _near(cells: int) -> Bool[Tensor, "cell cell"]:
    index = torch.arange(cells)
    row, column = index // CELLS, index % CELLS
    apart = torch.maximum((row[:, None] - row).abs(), (column[:, None] - column).abs())
    return apart <= 1


def visual_mask(
    clips: int, shares: Shares, generator: torch.Generator
) -> Bool[Tensor, "clip visual visual"]:
    """Edges between visual tokens, clip by clip: the neighbourhood, a random share, or all."""
    causal = torch.ones(VISUAL, VISUAL, dtype=torch.bool).tril()
    near = neighbourhood()
    masks = []
    for draw in torch.rand(clips, generator=generator).tolist():
        if draw < shares.local:
            masks.append(near)
        elif draw < shares.local + shares.partial:
            kept = torch.rand(1, generator=generator)
            masks.append(near | (causal & (torch.rand(VISUAL, VISUAL, generator=generator) < kept)))
        else:
            masks.append(causal)
    return torch.stack(masks)


def sees_video(
    roles: Int[Tensor, "clip token"],
    questions: Int[Tensor, "clip token"],
    shares: Shares,
    generator: torch.Generator,
) -> Bool[Tensor, "clip token visual"]:
    """Which text token may look at which visual token.

    Places of the grid are hidden from the words of a question in all frames alike.

    Args:
        roles: 0 for words of the question, 1 for role tokens, 2 for words of the answer.
        questions: Which question of its clip a token belongs to.
        shares: How much to cut.
        generator: Where chance comes from.
    """
    clips, most = len(roles), int(questions.max()) + 1
    hidden = 2 * shares.words * torch.rand(clips, most, 1, generator=generator)
    shown = torch.rand(clips, most, CELLS * CELLS, generator=generator) >= hidden
    of_token = questions.clamp(min=0)[..., None].expand(-1, -1, CELLS * CELLS)
    by_words = shown.gather(1, of_token).repeat(1, 1, SAMPLED) | (roles != 0)[..., None]
    blind_role = (torch.rand(roles.shape, generator=generator) < shares.role) & (roles == 1)
    return by_words & ~blind_role[..., None]
