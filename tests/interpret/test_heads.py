import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

from probe.interpret.grounding_tokens import grounding_token, visual_activation
from probe.interpret.heads import (
    UNRELATED_QUESTIONS,
    HeadList,
    attention_sinks,
    elbow,
    head_scores,
    heads_on_track,
    localization_heads,
    robust_score,
    spatial_entropy,
)
from probe.interpret.token_rules import AllOf, Fixed

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(scope="module")
def reading(tiny, video):
    return tiny.watch(video).read(QUESTION)[0]


def slow_spatial_entropy(values):
    """The same by flood fill from cell to cell."""
    above = {tuple(index) for index in (values > values.mean()).nonzero().tolist()}
    sizes = []
    while above:
        reached, border = 0, [above.pop()]
        while border:
            reached += 1
            spot = border.pop()
            near = {o for o in above if max(abs(a - b) for a, b in zip(o, spot, strict=True)) <= 1}
            above -= near
            border += near
        sizes.append(reached)
    shares = np.array(sizes) / sum(sizes)
    return float(-(shares * np.log(shares)).sum())


def test_one_spot_is_not_scattered_and_four_equal_ones_are():
    values = torch.zeros(2, 7, 7)
    values[0, 3:5, 3:5] = 1
    assert spatial_entropy(values) == 0
    spots = torch.zeros(1, 7, 7)
    spots[0, [0, 0, 6, 6], [0, 6, 0, 6]] = 1
    assert_equal_up_to_rounding(spatial_entropy(spots), np.log(4))
    assert_equal_up_to_rounding(spatial_entropy(torch.ones(2, 7, 7)), np.log(98))


def test_a_thing_that_moves_to_the_next_cell_stays_one_spot():
    values = torch.zeros(3, 5, 5)
    values[[0, 1, 2], [1, 2, 3], [1, 2, 3]] = 1
    assert spatial_entropy(values) == 0


@pytest.mark.parametrize("seed", range(5))
def test_spatial_entropy_equals_a_flood_fill(seed):
    values = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(seed)) ** 6
    assert_equal_up_to_rounding(spatial_entropy(values), slow_spatial_entropy(values), scale=1)


def test_the_elbow_is_where_few_values_leave_the_rest():
    assert elbow(np.array([0.0, 0.01, 0.02, 0.03, 0.9, 1.0])) == 0.03
    assert elbow(np.array([0.5, 0.5])) == 0.5


def planted(reading, pairs, cells):
    """The reading with heads that attend, hard, to nothing but one block of cells."""
    attention = reading.attention.clone() * 0.1
    for layer, head in pairs:
        attention[layer, head] = 0
        attention[layer, head, :, *cells] = 0.2
    return dataclasses.replace(reading, attention=attention)


def test_heads_that_look_at_one_spot_are_found(reading):
    pairs = [(1, 2), (3, 0)]
    scores = head_scores([planted(reading, pairs, (slice(2), 1, 1))] * 2)
    assert len(scores) == 16
    assert set(localization_heads(scores, 2)) == set(pairs)
    chosen = scores.set_index(["layer", "head"]).loc[pairs]
    assert (chosen["votes"] == 1).all()
    assert (chosen["entropy"] == 0).all()
    assert_equal_up_to_rounding(chosen["attention"], [0.4, 0.4])


def test_heads_that_barely_look_get_no_votes(reading):
    weak = reading.attention.clone() * 1e-4
    weak[2] = reading.attention[2]
    scores = head_scores([dataclasses.replace(reading, attention=weak)])
    assert Counter(scores.loc[scores["votes"] > 0, "layer"]).keys() <= {2}


def test_a_reading_of_some_heads_keeps_their_numbers(tiny, video):
    (some,) = tiny.watch(video).read(QUESTION, layers=[1, 3], heads=[2, 3])
    every = head_scores(tiny.watch(video).read(QUESTION)).set_index(["layer", "head"])
    for row in head_scores([some]).to_dict("records"):
        wanted = every.loc[(row["layer"], row["head"]), "entropy"]
        assert_equal_up_to_rounding(row["entropy"], wanted, scale=1)


def test_heads_on_track_counts_peaks_on_the_true_track(reading, clip):
    track = clip.things[0].track()
    share = reading.grid.cells.coverage(track)
    frame, row, column = np.unravel_index(share.argmax(), share.shape)
    away = np.unravel_index(share.argmin(), share.shape)
    on = planted(reading, [(1, 2)], (frame, row, column))
    off = planted(reading, [(1, 2)], away)
    table = heads_on_track([on, on, off], [track] * 3).set_index(["layer", "head"])
    assert table.loc[(1, 2), "on_track"] == pytest.approx(2 / 3)
    assert table["chance"].to_numpy() == pytest.approx((share > 0.1).mean())
    plain = heads_on_track([reading], [track], Fixed(-3)).set_index(["layer", "head"])
    heat = reading.heatmap(-3, layers_heads=[(2, 1)])
    assert plain.loc[(2, 1), "on_track"] == heat.points_at(track)


def test_every_reading_needs_its_track(reading):
    with pytest.raises(ValueError, match="1 readings but 0 tracks"):
        heads_on_track([reading], [])
    with pytest.raises(ValueError, match="no reading"):
        head_scores([])


def test_maps_through_some_heads_are_their_mean_wherever_maps_are_averaged(reading):
    pairs = [(0, 1), (3, 2)]
    wanted = (reading.attention[0, 1] + reading.attention[3, 2]) / 2
    assert_equal_up_to_rounding(reading.heatmap(4, layers_heads=pairs).values, wanted[4])
    chosen = reading.through(pairs)
    assert_equal_up_to_rounding(chosen.heatmap(4).values, wanted[4])
    assert_equal_up_to_rounding(chosen.mean_attention(), wanted)
    assert_equal_up_to_rounding(visual_activation(chosen), wanted.amax((-3, -2, -1)))
    roles = reading.prompt.indices("role")
    assert grounding_token(chosen) == max(roles, key=lambda token: wanted[token].max())
    assert_equal_up_to_rounding(chosen.heatmap(4, [1]).values, reading.heatmap(4, [1]).values)
    assert torch.equal(chosen.through(None).heatmap(4).values, reading.heatmap(4).values)


def test_all_heads_of_all_layers_are_the_mean_of_all(reading):
    pairs = [(layer, head) for layer in range(4) for head in range(4)]
    assert_equal_up_to_rounding(
        reading.heatmap(-1, layers_heads=pairs).values, reading.heatmap(-1).values
    )


def test_heads_that_are_not_there_are_named(reading):
    with pytest.raises(ValueError, match=r"no head \[9\]"):
        reading.heatmap(0, layers_heads=[(0, 9)])
    with pytest.raises(ValueError, match=r"layers \[7\]"):
        reading.heatmap(0, layers_heads=[(7, 0)])
    with pytest.raises(ValueError, match="give one of them"):
        reading.heatmap(0, [1], layers_heads=[(0, 0)])
    with pytest.raises(ValueError, match="no head to average"):
        reading.heatmap(0, layers_heads=[])


def test_a_list_of_heads_comes_back_and_knows_its_model(tiny, organism, tmp_path):
    found = HeadList(((1, 2), (3, 0)), tiny.identity, "by spatial entropy")
    found.save(tmp_path / "heads.json")
    again = HeadList.load(tmp_path / "heads.json")
    assert again == found
    assert hash(again) == hash(found)
    assert again.of(tiny) == ((1, 2), (3, 0))
    with pytest.raises(ValueError, match="not on 'organism'"):
        again.of(organism)


def test_heads_of_a_table_of_an_array_and_a_single_pair_are_taken_and_saved(
    tiny, reading, tmp_path
):
    table = head_scores([reading]).head(2)
    pairs = tuple(zip(table["layer"].tolist(), table["head"].tolist(), strict=True))
    for given in (table[["layer", "head"]].to_numpy(), [list(pair) for pair in pairs]):
        found = HeadList(given, tiny.identity, "by votes")
        assert found.heads == pairs
        found.save(tmp_path / "heads.json")
        assert HeadList.load(tmp_path / "heads.json") == found
    assert HeadList((2, 1), tiny.identity, "one").heads == ((2, 1),)
    assert HeadList(pairs, {}, "").to_frame().to_dict("list") == {
        "layer": [layer for layer, _ in pairs],
        "head": [head for _, head in pairs],
    }
    with pytest.raises(ValueError, match="pairs of layer and head"):
        HeadList([(1, 2, 3)], tiny.identity, "wrong")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"format": "something else"}, "not a list of heads"),
        ({"format": "grounding-probe/heads", "version": 9}, "version 9"),
        ({"format": "grounding-probe/heads", "version": 1, "heads": []}, "damaged"),
    ],
)
def test_a_file_that_is_no_list_of_heads_is_refused(tmp_path, content, said):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=said) as refused:
        HeadList.load(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_missing_file_of_heads_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.json: no such file"):
        HeadList.load(tmp_path / "missing.json")


def test_lists_of_heads_and_sinks_are_shown_in_a_line(tiny, video):
    every = [(layer, head) for layer in range(40) for head in range(40)]
    lines = [
        repr(HeadList(every, tiny.identity, "by " * 500)),
        repr(attention_sinks(tiny.watch(video))),
    ]
    assert lines[0].startswith("HeadList(1600 heads of ")
    assert lines[1].startswith("Sinks(")
    for line in lines:
        assert len(line) < 300
        assert "\n" not in line


def test_a_planted_outlier_is_a_sink_and_an_even_video_has_none(tiny, video):
    view = tiny.watch(video)
    embeddings = view.prefix.embeddings.clone()
    place = 37
    embeddings[view.grid.positions[place]] *= 1000
    loud = view.with_prefix(dataclasses.replace(view.prefix, embeddings=embeddings))
    sinks = attention_sinks(loud, layer=0, threshold=8.0)
    assert sinks.cells.flatten()[place]
    assert sinks.norm.flatten().argmax() == place
    assert not (attention_sinks(view, layer=0, threshold=8.0).norm > 8.0).any()


def test_a_sink_is_looked_at_whatever_is_asked(tiny, video):
    view = tiny.watch(video)
    sinks = attention_sinks(view)
    every = [robust_score(one.mean_attention().mean(0)) for one in view.read(*UNRELATED_QUESTIONS)]
    assert all((sinks.attention <= one).all() for one in every)


def test_robust_scores_are_standard_scores_of_a_lognormal():
    values = torch.randn(20, 40, 40, generator=torch.Generator().manual_seed(0)).exp()
    values[0, 0, 0] = 1e9
    scores = robust_score(values)
    assert_equal_up_to_rounding(scores.median(), 0, scale=1)
    assert scores[1:].std() == pytest.approx(1, abs=0.02)
    assert scores[0, 0, 0] > 15
    assert torch.equal(robust_score(torch.ones(1, 2, 2)), torch.zeros(1, 2, 2))


def test_scores_may_be_read_through_other_tokens(reading):
    last, roles = head_scores([reading]), head_scores([reading], AllOf())
    assert_differ_beyond_rounding(roles["attention"], last["attention"])


def test_a_rule_of_heads_may_name_a_word(reading):
    by_word = head_scores([reading], lambda _: "circle")
    by_place = head_scores([reading], lambda one: one.prompt.find("circle"))
    assert by_word.equals(by_place)
