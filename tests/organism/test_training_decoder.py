import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.network import make_network
from probe.organism.shapes import SHAPES
from probe.organism.training_decoder import add_to_scores, run_layers

CPU = torch.device("cpu")
TEXT_START, CLIP_STAGE_LAYERS = SHAPES.text_start, SHAPES.body.clip_stage_layers


def draw_mask(text):
    """Draw edges under which the video never attends to the text, and all attend to themselves."""
    length = TEXT_START + text
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    drawn = torch.rand(2, length, length, generator=torch.Generator().manual_seed(1)) < 0.5
    return causal & (drawn | torch.eye(length, dtype=torch.bool))


@pytest.mark.parametrize("text", [1, 9])
def test_states_and_gradients_are_those_of_the_decoder_itself(text):
    decoder = make_network(0).model.language_model
    hidden = torch.randn(2, TEXT_START + text, 192, generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(TEXT_START), TEXT_START + torch.arange(text) % 4])[None]
    mask = draw_mask(text)
    edges = add_to_scores(mask, CPU)

    def ours():
        return run_layers(decoder, hidden, positions, edges, CLIP_STAGE_LAYERS, TEXT_START)

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
