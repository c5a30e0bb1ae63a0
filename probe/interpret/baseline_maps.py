"""Other ways to ask where a model looks, as maps of the same cells, to stand beside ours.

None of them chooses a grounding token: the last token's attention, attention rolled out through
all layers, gradient times attention, and what each visual token would say if it had to speak.
"""

from collections.abc import Sequence

import nnsight
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap, attention_rows
from probe.engine.prompts import surfaces
from probe.engine.readings import AttentionMaps, yes_minus_no
from probe.engine.view import View
from probe.interpret.knockouts import HeadRecord

BLOCK = 256
"""Rows of a full attention matrix held at a time."""


def last_token(reading: AttentionMaps, layers: Sequence[int] | None = None) -> Heatmap:
    """The map of the token whose logits are the answer's."""
    return reading.heatmap(-1, layers)


def attention_rollout(view: View, question: str, token: int = -1, *, block: int = BLOCK) -> Heatmap:
    """How much of what reaches a token came from each cell, if layers only mixed by attention.

    Each layer passes on half of what it gets and mixes half by its mean attention (Abnar and
    Zuidema, ACL 2020). The only map here that needs attention between visual tokens: time grows
    with the square of the sequence, as in eager mode, but no more than `block` rows of a layer's
    matrices are held at once, beside the queries and keys of all layers.

    Raises:
        ValueError: if the view has latent prompts or interventions, which a plain pass leaves out.
    """
    with torch.no_grad(), view.trace(question):
        layers = nnsight.save([])
        for index in range(view.checkpoint.depth):
            layers.append(view.decoder.layer(index).queries_and_keys())
    length = layers[0][0].shape[1]
    flow = torch.zeros(length)
    flow[range(len(view.prefix), length)[token]] = 1.0
    for queries, keys, scaling in reversed(layers):
        flow = (flow + _mixed(flow, queries, keys, scaling, block)) / 2
    return Heatmap(view.grid.fold(flow[view.grid.positions]), view.grid.cells)


def _mixed(
    flow: Float[Tensor, " token"],
    queries: Float[Tensor, "head token width"],
    keys: Float[Tensor, "group token width"],
    scaling: float,
    block: int,
) -> Float[Tensor, " token"]:
    """What arrived at each token, handed down to those it attends to."""
    below = torch.zeros_like(flow)
    for start in range(0, len(flow), block):
        rows = torch.arange(start, min(start + block, len(flow)))
        seen = torch.arange(len(flow)) <= rows[:, None]
        shares = attention_rows(queries[:, rows], keys, seen.to(queries.device), scaling)
        below += flow[rows] @ shares.float().mean(0).cpu()
    return below


def gradient_attention(
    view: View, question: str, tokens: int | Sequence[int] | None = None
) -> Heatmap:
    """Attention times what more of it would do to the yes margin (Chefer et al., ICCV 2021).

    The positive part, averaged over layers, heads and tokens. The gradient with respect to an
    edge of attention is exact: that with respect to the head's output at the token, times the
    value the edge would bring; no attention matrix is made.

    Args:
        view: The video; latent prompts and interventions count.
        question: A yes-or-no question.
        tokens: Whose attention; all of the question's by default.
    """
    (reading,) = view.read(question)
    gradients = attention_gradients(view, question)
    product = (reading.attention * gradients).clamp_min(0)
    if tokens is not None:
        product = product[:, :, [tokens] if isinstance(tokens, int) else list(tokens)]
    return Heatmap(product.mean(dim=(0, 1, 2)), view.grid.cells)


def attention_gradients(
    view: View, question: str
) -> Float[Tensor, "layer head token frame row column"]:
    """The derivative of the yes margin by each edge of attention, in logits."""
    record = HeadRecord()
    logits = view.answer_logits(question, interventions_per_question=[[record]])
    margin = yes_minus_no(logits[0], view.checkpoint.answers)
    depth, heads = view.checkpoint.depth, view.checkpoint.heads
    wanted = torch.autograd.grad(margin, [record.outputs[layer] for layer in range(depth)])
    gradients = []
    for (_, values), by_output in zip(
        view.cache.key_values(view.checkpoint.depth), wanted, strict=True
    ):
        visual = values[0].detach()[:, view.grid.positions.to(values.device)]
        brought = visual.repeat_interleave(heads // len(visual), dim=0)
        gradients.append(torch.einsum("thw,hvw->htv", by_output, brought))
    return view.grid.fold(torch.stack(gradients).float().cpu())


def logit_lens(view: View, word: str, layer: int) -> Heatmap:
    """Which cells would say a word: its probability if each visual token's state were the last.

    States are read where they enter a decoder layer, and go through the final norm and the head
    (nostalgebraist, 2020; on visual tokens, Neo et al., ICLR 2025).

    Args:
        view: The video.
        word: A word that begins with one token of the vocabulary, in any of its forms.
        layer: The decoder layer, from 0: the input of the language model.

    Raises:
        ValueError: if the word is not a single token in any form, there is no such layer, or the
            view has latent prompts, which it leaves out.
    """
    if view.latents:
        raise ValueError("visual tokens are read without latent prompts; give the plain view")
    ids = surfaces(view.checkpoint.processor.tokenizer, word)
    if not ids:
        raise ValueError(f"{word!r} is not one token of this model; give a shorter word")
    if not 0 <= layer < view.checkpoint.depth:
        raise ValueError(f"there is no layer {layer}; this model has {view.checkpoint.depth}")
    states = view.states(layer)[view.grid.positions]
    said = view.checkpoint.lens(states).softmax(-1)[:, list(ids)].sum(-1)
    return Heatmap(view.grid.fold(said.detach().cpu()), view.grid.cells)
