import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.attention_masks import make_neighbourhood_mask
from probe.organism.network import make_network
from probe.organism.shapes import SHAPES
from probe.organism.training_decoder import divide_edges, run_layers

TEXT_START, CLIP_STAGE_LAYERS = SHAPES.text_start, SHAPES.body.clip_stage_layers


def draw_mask(text):
    """Draw edges under which the video never attends to the text, and all attend to themselves."""
    length = TEXT_START + text
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    drawn = torch.rand(2, length, length, generator=torch.Generator().manual_seed(1)) < 0.5
    return causal & (drawn | torch.eye(length, dtype=torch.bool))


def cut_mask(text):
    """Cut the edges between visual tokens but for those to a neighbourhood, as in training."""
    mask = draw_mask(text)
    before = TEXT_START - SHAPES.visual_tokens
    mask[:, before:TEXT_START, before:TEXT_START] = make_neighbourhood_mask(SHAPES)
    return mask


def test_a_neighbourhood_is_scored_against_little_more_than_itself():
    mask = cut_mask(9)
    scored = sum(block.added.numel() for block in divide_edges(mask, torch.device("cpu")))
    assert scored < 0.6 * mask.numel()


@pytest.mark.parametrize("make_mask", [draw_mask, cut_mask])
@pytest.mark.parametrize("text", [1, 9])
def test_states_and_gradients_are_those_of_the_decoder_itself(text, make_mask):
    decoder = make_network(0).model.language_model
    hidden = torch.randn(2, TEXT_START + text, 192, generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(TEXT_START), TEXT_START + torch.arange(text) % 4])[None]
    mask = make_mask(text)
    edges = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))[:, None]

    def ours():
        last, states = run_layers(decoder, hidden, positions, mask, CLIP_STAGE_LAYERS, TEXT_START)
        assert len(states) == CLIP_STAGE_LAYERS + 1
        return last, states[-1]

    def theirs():
        whole = decoder(
            inputs_embeds=hidden,
            attention_mask=edges,
            position_ids=positions.expand(2, -1),
            use_cache=False,
            output_hidden_states=True,
        )
        return whole.last_hidden_state[:, TEXT_START:], whole.hidden_states[CLIP_STAGE_LAYERS]

    decoder.set_attn_implementation("eager")
    found = []
    for run in (ours, theirs):
        decoder.zero_grad()
        last, lower = run()
        # A mean of squares would say nothing: the norm makes it 1 for any weights.
        (last.sin().sum() + lower.sin().sum()).backward()
        # The whole decoder gives no gradient either to what no text reads.
        found.append([last, lower, *(p.grad for p in decoder.layers.parameters())])
    for mine, plain in zip(*found, strict=True):
        assert_equal_up_to_rounding(mine, plain)
