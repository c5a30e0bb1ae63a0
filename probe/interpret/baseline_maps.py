"""Rival maps: other ways to see where a model attends, as maps of the same cells.

None of them chooses a grounding token. They are the attention of the last token, attention rolled
out through all layers, and gradients. `logit_lens` and `word_lens` are others.
"""

from collections.abc import Sequence
from dataclasses import replace

import nnsight
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.attention import Heatmap, attention_rows
from probe.engine.latent_prompts import zero_prompt
from probe.engine.layer_plan import list_numbers
from probe.engine.readings import AttentionMaps, TokenChoice, yes_minus_no
from probe.engine.requests import choose_numbers
from probe.engine.view import View
from probe.interpret.knockouts import HeadRecord
from probe.interpret.targets import as_tokens, find_places

BLOCK_ROWS = 256
"""Rows of a full attention matrix that are held at a time."""


def last_token(reading: AttentionMaps, layers: int | Sequence[int] | None = None) -> Heatmap:
    """Return the map of the token whose logits are the answer's."""
    return reading.heatmap(-1, layers)


def attention_rollout(
    view: View, question: str, token: TokenChoice = -1, *, block: int = BLOCK_ROWS
) -> Heatmap:
    """Trace back how much of what reaches a token came from each cell, by attention alone.

    Each layer is taken to pass on half of what it gets and to mix half by its mean attention
    (Abnar and Zuidema, ACL 2020). This is the only map here that needs attention between visual
    tokens: its time grows with the square of the sequence, as in eager mode. Its memory holds the
    queries and keys of all layers and no more than `block` rows of one layer's matrices. Layers
    without attention are taken to mix nothing.

    Args:
        view: The video.
        question: What to ask.
        token: A place in the question, a word of it, or several, whose maps are averaged.
        block: Rows of attention that are held at a time.

    Raises:
        ValueError: if there is no such token, or the view has latent prompts or interventions,
            which a plain pass leaves out.
    """
    prompt = view.writer.write(question)
    places = choose_numbers("token", find_places(as_tokens(token), prompt), len(prompt))
    attending = view.decoder.plan.attending
    with torch.no_grad(), view.trace(question):
        layers = nnsight.save([])
        for index in attending:
            layers.append(view.decoder.layer(index).queries_and_keys())
    flow = torch.zeros(layers[0][0].shape[2])
    flow[[len(view.prefix) + place for place in places]] = 1 / len(places)
    # From the top layer down, with one row for the asked token: the product of all matrices, of
    # which only this row is wanted, would take as many times longer as there are tokens.
    for index, (queries, keys, scaling) in zip(attending[::-1], layers[::-1], strict=True):
        mask = view.reader.whole_mask(question, index)
        flow = (flow + _pass_down(flow, queries[0], keys[0], scaling, mask, block)) / 2
    return Heatmap(view.grid.fold(flow[view.grid.positions]), view.grid.cells)


def _pass_down(
    flow: Float[Tensor, " token"],
    queries: Float[Tensor, "head token width"],
    keys: Float[Tensor, "group token width"],
    scaling: float,
    mask: Bool[Tensor, "token token"],
    block: int,
) -> Float[Tensor, " token"]:
    """Share out what arrived at each token among those that it attends to in one layer."""
    below = torch.zeros_like(flow)
    # In blocks: the matrices of all heads of one layer have as many numbers as heads times the
    # square of the sequence, many gigabytes for a long video.
    for start in range(0, len(flow), block):
        rows = torch.arange(start, min(start + block, len(flow)))
        seen = mask[rows].to(queries.device)
        shares = attention_rows(queries[:, rows], keys, seen, scaling)
        below += flow[rows] @ shares.float().mean(0).cpu()
    return below


def gradient_attention(view: View, question: str, tokens: TokenChoice | None = None) -> Heatmap:
    """Multiply attention by the effect of more of it on the yes margin (Chefer et al., ICCV 2021).

    Returns the positive part, averaged over layers, heads and tokens.

    Args:
        view: The video; its latent prompts and interventions are taken into account.
        question: A yes-or-no question.
        tokens: A place in the question, a word of it, or several; all by default.
    """
    (reading,) = view.read(question)
    gradients = attention_gradients(view, question)
    product = (reading.attention * gradients).clamp_min(0)
    if tokens is not None:
        product = product[:, :, reading.find(tokens)]
    return Heatmap(product.mean(dim=(0, 1, 2)), view.grid.cells)


def attention_gradients(
    view: View, question: str
) -> Float[Tensor, "layer head token frame row column"]:
    """Compute the derivative of the yes margin by each edge of attention, in logits.

    The derivative is exact, and no attention matrix is made. Layers are those that attend.

    Raises:
        ValueError: if layers of the model share their values.
    """
    record = HeadRecord()
    logits = view.answer_logits(question, interventions_per_question=[[record]])
    margin = yes_minus_no(logits[0], view.checkpoint.answers)
    plan, heads = view.decoder.plan, view.checkpoint.heads
    if plan.sharing:
        raise ValueError(
            f"layers {list_numbers(plan.sharing)} of this model attend with the values of another "
            f"layer, of which no derivative is computed; use attention"
        )
    by_outputs = torch.autograd.grad(margin, [record.outputs[layer] for layer in plan.attending])
    past = view.cache.past(len(plan))
    gradients = []
    # A head's output is the sum of the values that it attends to, each weighted by its edge. So the
    # derivative by an edge is that by the output, times the value: a product of two vectors.
    for layer, by_output in zip(plan.attending, by_outputs, strict=True):
        _, values = past[layer]
        visual = values[0].detach()[:, view.grid.positions.to(values.device)]
        # Heads that share keys and values lie next to each other.
        by_head = visual.repeat_interleave(heads // len(visual), dim=0)
        gradients.append(torch.einsum("thw,hvw->htv", by_output, by_head))
    return view.grid.fold(torch.stack(gradients).float().cpu())


def entropy_gradient(view: View, question: str) -> Heatmap:
    """Measure how much each visual token could change how undecided the model is.

    Returns:
        The norm, cell by cell, of the gradient of the next-token entropy (in nats) with respect to
        the visual tokens that enter the decoder.

    Raises:
        ValueError: if the question is empty, too long or unsafe.
    """
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 0)
    vectors = blank.vectors.requires_grad_()
    logits = view.with_latent(replace(blank, vectors=vectors)).answer_logits(question)[0]
    log_probability = logits.float().log_softmax(-1)
    entropy = -(log_probability.exp() * log_probability).sum()
    (gradient,) = torch.autograd.grad(entropy, vectors)
    return Heatmap(view.grid.fold(gradient.norm(dim=-1).float().cpu()), view.grid.cells)
