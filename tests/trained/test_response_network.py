from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from probe.trained.responses.network import Bank, NetworkConfig, ReferringBatch, ResponseNetwork
from probe.trained.responses.presets import PAPER, RELEASED_CODE
from tests.tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

SIZES = {"width": 6, "text_width": 5}
PRESETS = {"paper": PAPER.network, "released": RELEASED_CODE.network}


def make_network(config, seed=0):
    torch.manual_seed(seed)
    return ResponseNetwork(replace(config, channels=8), **SIZES)


def make_batch(pictures=3, stages=3, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return ReferringBatch(
        torch.randn(pictures, 7, 6, generator=rng),
        torch.randn(pictures, 5, generator=rng),
        torch.randn(pictures, stages, 5, generator=rng),
    )


def only(batch, *places):
    chosen = list(places)
    return ReferringBatch(batch.cells[chosen], batch.sentences[chosen], batch.cues[chosen])


def slow_read(queries, keys, values):
    """Attention of one head, one query after the other."""
    out = []
    for query in queries:
        weights = torch.stack([query @ key for key in keys]) / len(query) ** 0.5
        weights = weights.exp() / weights.exp().sum()
        out.append(sum(w * value for w, value in zip(weights, values, strict=True)))
    return torch.stack(out)


def slow_scores(network, batch):
    """The equations of the module, one picture and one text after the other."""
    config, count = network.config, len(batch)
    cells = [network.project_cells(one) for one in batch.cells]
    texts = [network.project_text(one) for one in batch.sentences]
    scores = []
    for number, module in enumerate(network.modules_by_stage):

        def project(name, one, module=module):
            return torch.relu(module.text[name][0](one))

        def project_cells(layer, one):
            plain = layer.linear(one)
            spread = (plain.var(0, unbiased=False) + layer.norm.eps).sqrt()
            return (plain - plain.mean(0)) / spread * layer.norm.weight + layer.norm.bias

        def of_cells(name, one, module=module):
            return torch.relu(project_cells(module.cell[name][0], one))

        def look(text, picture, module=module, project=project, of_cells=of_cells):
            queries = project("query", text)[None]
            read = slow_read(queries, of_cells("key", picture), of_cells("value", picture))
            return module.text_out(read[0])

        before, texts = (
            [normalize(one, dim=-1) for one in cells],
            [normalize(one, dim=-1) for one in texts],
        )
        cues = [normalize(network.project_text(one[number]), dim=-1) for one in batch.cues]
        seen = [look(cues[i], before[i]) + config.cue_residual * cues[i] for i in range(count)]
        keys, values = project("key", torch.stack(seen)), project("value", torch.stack(seen))
        texts = [
            one
            + config.sentence_update
            * module.text_out(slow_read(project("query", one)[None], keys, values)[0])
            for one in texts
        ]
        keys, values = project("key", torch.stack(texts)), project("value", torch.stack(texts))
        cells = [
            one
            + config.cell_update
            * project_cells(module.cell_out, slow_read(of_cells("query", one), keys, values))
            for one in before
        ]
        scale = network.log_scale.exp()
        scores.append(
            torch.stack(
                [
                    torch.stack(
                        [
                            scale * cells[i] @ (text + config.look_again * look(text, before[i]))
                            for text in texts
                        ]
                    )
                    for i in range(count)
                ]
            )
        )
    return torch.stack(scores)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_scores_are_those_of_a_slow_version_one_picture_and_text_at_a_time(config):
    network, batch = make_network(config), make_batch()
    assert_equal_up_to_rounding(network(batch), slow_scores(network, batch))


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_a_stored_bank_gives_a_picture_the_map_that_its_batch_gave_it(config):
    """Each picture of a batch, read alone with the texts of the others from the bank."""
    network, batch = make_network(config), make_batch()
    together, bank = network(batch), network.fill_bank(batch)
    for place in range(len(batch)):
        others = [other for other in range(len(batch)) if other != place]
        stored = Bank(bank.cues[:, others], bank.sentences[:, others])
        alone = network.respond(only(batch, place), stored)
        assert_equal_up_to_rounding(alone[:, 0], together[:, place, place], scale=together)


def test_without_a_bank_the_map_is_that_of_a_batch_of_one_and_another():
    network, batch = make_network(PAPER.network), make_batch()
    one = only(batch, 0)
    empty = network.respond(one, Bank.empty(network.config))
    assert_equal_up_to_rounding(empty[:, 0], network(one)[:, 0, 0])
    assert_differ_beyond_rounding(empty, network.respond(one, network.fill_bank(batch)))


def test_pictures_that_are_read_with_a_bank_do_not_influence_each_other():
    network, batch = make_network(RELEASED_CODE.network), make_batch(4)
    bank = network.fill_bank(only(batch, 2, 3))
    both = network.respond(only(batch, 0, 1), bank)
    assert_equal_up_to_rounding(both[:, :1], network.respond(only(batch, 0), bank), scale=both)


def test_a_cue_reaches_only_the_maps_of_its_stage_and_later_ones():
    network, batch = make_network(PAPER.network), make_batch()
    cues = batch.cues.clone()
    cues[0, 1] += 1
    before, after = network(batch), network(replace(batch, cues=cues))
    assert (before[0] == after[0]).all()
    assert_differ_beyond_rounding(before[1], after[1])
    assert_differ_beyond_rounding(before[2], after[2])


def test_a_weight_of_zero_leaves_the_cues_out():
    network, batch = make_network(replace(PAPER.network, sentence_update=0.0)), make_batch()
    assert (network(batch) == network(replace(batch, cues=batch.cues + 1))).all()


def test_the_order_of_cells_does_not_matter():
    network, batch = make_network(PAPER.network), make_batch()
    turned = replace(batch, cells=batch.cells.flip(1))
    assert_equal_up_to_rounding(network(turned).flip(-1), network(batch))


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="stages is 0"):
        NetworkConfig(stages=0)
