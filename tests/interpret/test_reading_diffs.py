"""Differences of readings: of two questions, two models, and before and after a change."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from published_formats import write_clip
from tolerances import assert_equal_up_to_rounding

import probe
from probe.engine.readings import Reading

QUESTION = "Is there the purple cross that jumps in this video?"
OTHER = "Is there the green square that winks in this video?"


@pytest.fixture(scope="module")
def view(organism, clip):
    return organism.watch(clip.video())


@pytest.fixture(scope="module")
def readings(view):
    return view.read(QUESTION, OTHER)


def test_a_reading_does_not_differ_from_itself(readings):
    same = probe.diff(readings[0], readings[0])
    assert same.margin_change == 0
    assert same.answer_changed is False
    assert same.shared == tuple((place, place) for place in range(len(readings[0].tokens)))
    assert not same.activation_change.any()
    assert not same.map_change().values.any()


def test_the_other_way_round_every_figure_has_the_other_sign(readings):
    there, back = probe.diff(*readings), probe.diff(*reversed(readings))
    assert there.margin_change == -back.margin_change != 0
    assert back.shared == tuple((two, one) for one, two in there.shared)
    assert torch.equal(there.activation_change, -back.activation_change)
    assert torch.equal(there.map_change().values, -back.map_change().values)
    assert (there.only_first, there.only_second) == (back.only_second, back.only_first)


@pytest.mark.parametrize("seed", range(20))
def test_tokens_are_paired_in_order_by_equal_texts_whichever_reading_comes_first(readings, seed):
    """Of texts with many repetitions, where several pairings are as long."""
    rng = np.random.default_rng(seed)
    made = [shuffle(reading, rng) for reading in readings]
    there, back = probe.diff(*made), probe.diff(*reversed(made))
    assert back.shared == tuple((two, one) for one, two in there.shared)
    assert all(made[0].tokens[one] == made[1].tokens[two] for one, two in there.shared)
    for side in zip(*there.shared, strict=True):
        assert list(side) == sorted(set(side))


def shuffle(reading, rng):
    """The reading with tokens drawn from few texts."""
    texts = rng.choice(["the", "red", "circle"], len(reading.prompt))
    pairs = zip(reading.prompt.tokens, texts, strict=True)
    tokens = tuple(replace(token, text=str(text)) for token, text in pairs)
    return replace(reading, prompt=replace(reading.prompt, tokens=tokens))


def test_a_cut_is_compared_as_the_plain_readings_are_subtracted_by_hand(view, readings):
    before = readings[0]
    place = before.find("cross")[0]
    (after,) = view.under(probe.Cut(tokens=[place])).read(QUESTION)
    found = probe.diff(before, after)
    assert found.margin_change == after.margin - before.margin
    by_hand = after.attention.mean(dim=(0, 1)) - before.attention.mean(dim=(0, 1))
    assert_equal_up_to_rounding(found.map_change("cross").values, by_hand[place])
    strongest = [one.attention.mean(dim=(0, 1)).flatten(1).amax(1) for one in (before, after)]
    assert_equal_up_to_rounding(found.activation_change, strongest[1] - strongest[0])
    table = found.to_frame()
    assert list(table["token"]) == list(before.tokens)
    assert table["activation_second"].to_numpy()[place] == 0, (
        "it sees nothing of the video any more"
    )
    assert "unchanged -> Cut(tokens=" in repr(found)


def test_words_that_only_one_question_has_are_compared_by_name(readings):
    found = probe.diff(*readings)
    assert found.only_first == ("purple", "cross", "jumps")
    assert found.only_second == ("green", "square", "winks")
    with pytest.raises(ValueError, match="'cross' is in the first reading only; give against="):
        found.map_change("cross")
    change = found.map_change("cross", "square").values
    expected = readings[1].heatmap("square").values - readings[0].heatmap("cross").values
    assert torch.equal(change, expected)


def test_of_one_model_the_layers_that_both_hold_are_compared(view):
    low, high = view.read(QUESTION, layers=(0, 1, 2))[0], view.read(QUESTION, layers=(2, 3))[0]
    found = probe.diff(low, high)
    assert found.layers == (2,)
    assert not found.map_change().values.any(), "the same layer of the same question"
    with pytest.raises(ValueError, match="none in common"):
        probe.diff(low, view.read(QUESTION, layers=(3,))[0])


def test_two_models_are_compared_by_tokens_where_their_cells_are_others(tiny, readings, clip):
    (other,) = tiny.watch(clip.video()).read(QUESTION)
    found = probe.diff(readings[0], other)
    assert found.layers is None
    assert not found.has_maps
    assert len(found.to_frame()) == len(found.shared) > 0
    assert f"by {tiny.name}" in repr(found)
    with pytest.raises(ValueError, match="cannot be subtracted"):
        found.map_change()
    with pytest.raises(ValueError, match="cannot be subtracted"):
        found.figure(clip.video())


def test_what_cannot_be_compared_is_refused_in_one_line(view, readings):
    alone, roles = view.read(QUESTION, kinds=("word",))[0], view.read(OTHER, kinds=("role",))[0]
    (bare,) = view.read_with_graph(QUESTION)
    for pair, reason in [
        ((readings[0], view.attention(OTHER)[0]), "found AttentionMaps"),
        ((alone, roles), "no token in common"),
        ((readings[0], bare), "without attention"),
    ]:
        with pytest.raises(ValueError, match=reason) as refusal:
            probe.diff(*pair)
        assert "\n" not in str(refusal.value)


def test_readings_from_the_disk_are_compared_as_those_in_memory(view, readings, tmp_path):
    (cut,) = view.read(QUESTION, interventions_per_question=[[probe.Cut(tokens=[2])]])
    pair = (readings[0], cut)
    for number, reading in enumerate(pair):
        reading.save(tmp_path / f"{number}.safetensors")
    loaded = [Reading.load(tmp_path / f"{number}.safetensors") for number in range(2)]
    there, again = probe.diff(*pair), probe.diff(*loaded)
    assert again == there
    assert json.dumps(again.to_dict()) == json.dumps(there.to_dict())
    assert [one.provenance for one in loaded] == [one.provenance for one in pair]
    traced: Any = cut.provenance
    assert traced.edits == ("Cut(tokens=(2,))",)
    assert traced.model["name"] == "organism"
    assert traced.video["sampled_frames"] == list(view.video.indices)
    assert set(traced.versions) >= {"torch", "transformers", "nnsight", "grounding-probe"}


def test_a_picture_has_both_maps_their_difference_and_the_tokens(readings, clip):
    found = probe.diff(*readings)
    figure: Any = found.figure(clip.video(), "cross", "square")
    *rows, _, _, _ = [ax for part in figure.subfigs[:1] for ax in part.axes]
    assert [len(ax.images) for ax in rows] == [len(rows[0].images)] * 3
    images = [[image.get_array() for image in ax.images] for ax in rows]
    assert not all(np.array_equal(*pair) for pair in zip(images[0], images[1], strict=True))
    (tokens,) = figure.subfigs[1].axes
    assert [text.get_text() for text in tokens.get_xticklabels()] == list(found.tokens)
    axes = Figure().subplots()
    assert found.plot(axes) is axes
    assert found._repr_html_().startswith("<img")


def test_no_change_is_drawn_as_the_frames_alone(readings, clip):
    figure: Any = probe.diff(readings[0], readings[0]).figure(clip.video())
    _, _, last, *_ = figure.subfigs[0].axes
    frames = [image.get_array() for image in last.images]
    video = clip.video().frames
    assert all(any(np.array_equal(frame, one) for one in video) for frame in frames)


@pytest.mark.slow
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs/how-to/compare-readings.md"
    write_clip(tmp_path / "clip.mp4", 7)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(example, space)
    found = SimpleNamespace(**space)
    assert found.kept == found.before
    assert found.change.margin_change != 0
