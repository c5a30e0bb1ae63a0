"""Results are pleasant to hold: short to print, saved and loaded as they were, arrays, tables."""

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from shown import elements_of, image_of

from probe.engine.attention import Heatmap
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.readings import Reading
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.presets import BEST, PAPER
from probe.grounding.reattention import Reattention, reattend
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.heads import HeadList
from probe.interpret.knockouts import Cut, knock_out
from probe.video import read_video
from probe.video.previews import MOST_HTML_BYTES

QUESTION = "Is there a red circle in this video?"
MOST_CHARACTERS = 300


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory, clip):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    clip.write(path)
    return path


@pytest.fixture(scope="module")
def results(organism, clip, clip_file):
    """One of each kind of result."""
    video = read_video(clip_file, 8)
    view = organism.watch(video)
    (reading,) = view.read(QUESTION)
    answer = ground(organism, video, clip.things[0].query, config=BEST)
    learned = reattend(view, QUESTION, layer=2, steps=2)
    return {
        "model": organism,
        "video": video,
        "view": view,
        "reading": reading,
        "maps": view.attention(QUESTION, layers=1)[0],
        "heatmap": reading.heatmap(-1),
        "grid": view.grid,
        "answer": answer,
        "look": answer.where,
        "tube": answer.tube,
        "span": answer.span,
        "latent": learned.latent,
        "reattention": learned,
        "effect": knock_out(view, QUESTION, [Cut()])[0],
        "heads": HeadList(((0, 1), (2, 3)), organism.identity, "by hand"),
        "learned view": view.with_latent(learned.latent),
    }


KINDS = (
    "model", "video", "view", "reading", "maps", "heatmap", "grid", "answer", "look", "tube",
    "span", "latent", "reattention", "effect", "heads", "learned view",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_printed_in_a_line_or_two(results, kind):
    shown = repr(results[kind])
    assert len(shown) < MOST_CHARACTERS
    assert "tensor(" not in shown
    assert "array(" not in shown


SAVED = {
    "reading": Reading,
    "heatmap": Heatmap,
    "latent": LatentPrompt,
    "reattention": Reattention,
    "heads": HeadList,
    "answer": Answer,
}


@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_is_loaded_as_it_was(results, tmp_path, kind):
    path = tmp_path / f"{kind}.saved"
    results[kind].save(path)
    loaded = SAVED[kind].load(path)
    assert loaded == results[kind]
    assert hash(loaded) == hash(results[kind])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", SAVED)
def test_a_file_of_another_kind_is_refused_in_one_line(results, tmp_path, kind):
    other = "heatmap" if kind != "heatmap" else "latent"
    results[other].save(tmp_path / "other")
    (tmp_path / "text").write_text("not one of ours")
    (tmp_path / "json").write_text("[1]")
    for name in ("other", "text", "json", "missing"):
        with pytest.raises(ValueError, match=name) as refusal:
            SAVED[kind].load(tmp_path / name)
        assert len(str(refusal.value).splitlines()) == 1


def test_results_that_differ_in_one_number_are_not_equal(results):
    heat = results["heatmap"]
    other = heat.values.clone()
    other[0, 0, 0] += 1e-6
    assert replace(heat, values=heat.values.clone()) == heat
    assert replace(heat, values=other) != heat
    assert results["reading"] != results["maps"]


@pytest.mark.slow
def test_a_loaded_answer_is_drawn_and_used_as_a_fresh_one(results, tmp_path):
    answer = results["answer"]
    answer.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json")
    assert loaded.tube == answer.tube
    assert loaded.track in loaded.candidates
    assert loaded.where.token_texts == answer.where.reading.tokens
    loaded.figure(tmp_path / "loaded.png")
    answer.figure(tmp_path / "fresh.png")
    pictures = [
        np.frombuffer((tmp_path / f"{name}.png").read_bytes(), np.uint8)
        for name in ("loaded", "fresh")
    ]
    assert len(pictures[0]) == pytest.approx(len(pictures[1]), rel=0.01)
    loaded.overlay(tmp_path / "answer.mp4")
    assert (tmp_path / "answer.mp4").stat().st_size


@pytest.mark.slow
def test_an_answer_finds_its_video_next_to_it_and_says_where_it_is_not(results, tmp_path, clip):
    clip.write(tmp_path / "clip.mp4")
    answer = results["answer"]
    answer.save(tmp_path / "answer.json")
    content = json.loads((tmp_path / "answer.json").read_text())
    content["video"]["path"] = "clip.mp4"
    (tmp_path / "moved.json").write_text(json.dumps(content))
    assert Answer.load(tmp_path / "moved.json").tube == answer.tube
    content["video"]["path"] = None
    (tmp_path / "nowhere.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not say where its video is; give it as video="):
        Answer.load(tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match="answers another video, or other frames"):
        Answer.load(tmp_path / "nowhere.json", read_video(tmp_path / "clip.mp4", 5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": 7}, "model is 7, not an object with a name"),
        ({"model": {"name": 3}}, "the name of the model is 3, not a text"),
        ({"frame_scores": 7}, "frame_scores are 7, not a list of numbers"),
        ({"frame_scores": [True]}, "not a list of numbers"),
        ({"span": {"start_frame": 0, "stop_frame": 99999}}, "a span from frame 0 to 99999 of a"),
        ({"span": {"start_frame": 5, "stop_frame": 5}}, "a span from frame 5 to 5 of a video"),
        (
            {"queries": dict.fromkeys(("whole", "attribute", "action"), 7)},
            "a query is 7, not a text",
        ),
    ],
)
def test_a_damaged_answer_is_refused_in_one_line_with_its_file(results, tmp_path, change, said):
    content = results["answer"].to_dict() | change
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"bad\.json: cannot be read as an answer .*{said}") as no:
        Answer.load(tmp_path / "bad.json", results["video"])
    assert "\n" not in str(no.value)


@pytest.mark.slow
def test_an_assembled_answer_survives_too(organism, clip, results, tmp_path):
    answer = ground(organism, results["video"], clip.things[0].query, config=PAPER)
    answer.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json") == answer


# Arrays and tables


def test_a_map_is_an_array_a_table_and_an_array_with_names(results):
    heat = results["heatmap"]
    assert np.array_equal(np.asarray(heat), heat.values.numpy())
    assert np.asarray(heat).max() == heat.values.max()
    table = heat.to_frame()
    strongest = table.loc[table["value"].idxmax()]
    frame, row, column = heat.peak
    assert (strongest["frame"], strongest["row"], strongest["column"]) == (
        heat.cells.frames[frame][0],
        row,
        column,
    )
    xarray = pytest.importorskip("xarray")
    named = heat.to_xarray()
    assert isinstance(named, xarray.DataArray)
    assert named.sel(frame=heat.cells.frames[frame][0])[row, column] == heat.values.max()


def test_a_reading_is_a_table_with_a_row_for_each_token(results):
    reading = results["reading"]
    table = reading.to_frame()
    assert list(table["token"]) == list(reading.tokens)
    activation = reading.mean_attention().amax(dim=(1, 2, 3))
    assert np.allclose(table["activation"], activation)
    assert reading.to_numpy().shape == reading.attention.shape
    pytest.importorskip("xarray")
    named = reading.to_xarray()
    assert named.dims == ("layer", "head", "token", "frame", "row", "column")


def test_learning_is_a_table_with_a_row_for_each_step(results):
    table = results["reattention"].to_frame()
    assert list(table["margin"]) == [step.margin for step in results["reattention"].steps]


# Words and single numbers in the place of indices and tuples


def test_tokens_are_named_by_words_of_the_question(results):
    reading = results["reading"]
    words = QUESTION.replace("?", " ?").split()
    for place, word in enumerate(words):
        assert reading.find(word) == [place]
    assert reading.find("red circle") == [3, 4]
    assert reading.heatmap("circle") == reading.heatmap(4)
    assert reading.heatmap("red circle") == reading.heatmap([3, 4])
    assert reading.heatmap("ANT") == reading.heatmap(-2)
    assert reading.find(["Is", -1]) == [0, len(reading.tokens) - 1]


def test_a_word_that_is_not_there_or_is_there_twice_is_named(organism, video):
    (reading,) = organism.watch(video).read("Is there a red circle or a red square in this video?")
    with pytest.raises(ValueError, match=r"'blue' in the question .*: not there; its tokens are"):
        reading.heatmap("blue")
    with pytest.raises(ValueError, match=r"'red' .*: more than once, at places .*; give a place"):
        reading.heatmap("red")
    with pytest.raises(ValueError, match="no token 99 among the"):
        reading.heatmap(99)


def test_results_can_be_sent_to_another_process_and_copied(organism, video, clip):
    view = organism.watch(video)
    results = [
        *view.read(QUESTION),
        ground(organism, video, clip.things[0].query),
        reattend(view, QUESTION),
        *knock_out(view, QUESTION, Cut()),
    ]
    for result in results:
        assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result


def test_a_word_of_the_question_has_no_like_in_the_generic_prompt(organism, video):
    asked, generic = organism.watch(video).read(QUESTION, "Describe this video in details.")
    with pytest.raises(ValueError, match=r"'circle' has no counterpart .* has 'this' at its place"):
        asked.relative_heatmap("circle", generic)


def test_relative_attention_needs_no_index_arithmetic(organism, video):
    view = organism.watch(video)
    asked, generic = view.read(QUESTION, "Describe this video in details.")
    by_hand = asked.heatmap(-2).relative_to(generic.heatmap(-2))
    assert asked.relative_heatmap("ANT", generic) == by_hand
    assert asked.relative_heatmap(len(asked.tokens) - 2, generic) == by_hand


def test_the_cells_on_a_tube_are_a_mask(organism, clip, video):
    grid = organism.watch(video).grid
    inside = grid.cells.inside(clip.things[0].track())
    assert inside.dtype == torch.bool
    assert 0 < inside.sum() < inside.numel()


def test_one_layer_and_a_list_of_questions_are_taken(organism, video):
    view = organism.watch(video)
    (one,) = view.read(QUESTION, layers=2, heads=0)
    (several,) = view.read([QUESTION], layers=[2], heads=(0,))
    assert one == several
    assert one.heatmap(0, layers=2) == one.heatmap(0)


WRONG = {
    "probe.load(5)": "a checkpoint is given by its folder or its name",
    "probe.load('organism', dtype='float8')": "unknown dtype 'float8'",
    "model.watch(5)": "",
    "model.watch('gone.mp4')": "gone.mp4: no such file",
    "view.read(5)": "a question is text; found 5 (int)",
    "view.read()": "there is no question",
    "view.read('What jumps?', layers='two')": "layers are given as numbers",
    "view.read('What jumps?', layers=1.5)": "layers are given as numbers",
    "view.read('What jumps?', heads=99)": "there is no head [99]",
    "reading.heatmap('zebra')": "'zebra' in the question",
    "reading.heatmap(2.5)": "there is no token 2.5",
    "reading.heatmap(None)": "there is no token None",
    "reading.heatmap([])": "there is no token to look through",
    "reading.heatmap(0, layers='2')": "layers are given as numbers",
    "view.with_latent('latent.safetensors')": "a latent prompt is wanted, found str",
    "probe.reattend(view, 'What jumps?', pace=3)": "learning has no choice 'pace'",
    "probe.reattend(view, 'What jumps?', layer=99)": "there is no layer [99]",
    "probe.GrounderConfig(token='role')": "the token rule is 'role'; give a callable",
    "probe.GrounderConfig(layers='all')": "layers are given as numbers",
    "probe.ground(model, video, 'the red circle', config='bset')": "no preset is called 'bset'",
    "probe.ground(model, video, 'the red circle', config=3)": "no preset is called 3",
    "probe.ground(model, video, 'the red circle', [])": "there is no candidate",
    "probe.ground(model, video, 'the red circle', 'gone.json')": "gone.json",
    "probe.ground(model, video, '')": "empty",
    "probe.rank_tokens(view.read('What jumps?'))": "one of them: (asked,) = view.read(question)",
    "probe.grounding_token([reading])": "one of them: (asked,) = view.read(question)",
    "reading.relative_heatmap(-2, probe.GENERIC)": "asked, generic = view.read(question",
    "probe.knock_out(view, 'What jumps?', 'jumps')": "an intervention is 'jumps'; give one",
    "probe.knock_out(view, 'What jumps?', ['jumps'])": "an intervention is 'jumps'; give one",
    "probe.knock_out(view, 'What jumps?', 5)": "an intervention is 5; give one",
    "probe.knock_out(model, 'What jumps?', probe.Cut())": "the view is a VideoLM; give",
    "probe.knock_out(view, 'Is it red?', probe.Cut(tokens=(99,)))": "this question has tokens 0 to",
    "probe.ground(model, video, None)": "the query is None; give it as text",
    "probe.ground(model, video, ['a red circle'])": "the query is ['a red circle']",
    "probe.ground(video, model, 'the red circle')": "the model is a Video; give one",
    "probe.ground(model, video, 'the red circle', [(0, 0, 5, 5)])": "a candidate is (0, 0, 5, 5)",
    "probe.reattend(view, 'Is it red?', 2)": "the learning is 2; give its choices by name",
    "probe.reattend(view, 'Is it red?', rate='big')": "the rate of a step is 'big'",
    "probe.reattend(view, 'Is it red?', rate=float('nan'))": "the rate of a step is nan",
    "probe.reattend(view, 'Is it red?', loss='contrast')": "the loss is 'contrast'; give a",
    "probe.reattend(view, 'Is it red?', steps=1.5)": "steps is 1.5; give a whole number",
    "probe.reattend(view, 'Is it red?', steps=-1)": "steps is -1; give 0 or more",
    "probe.reattend(view, 'Is it red?', layer=-1)": "layer is -1; give 0 or more",
    "probe.read_video(video.frames[0])": "read_image reads one picture",
    "view.read('')": "the question is empty; ask something in words",
    "reading.plot(video)": "axes of matplotlib are wanted, found Video",
    "reading.heatmap(0).plot(video=5)": "a Video is wanted, found int",
    "probe.Tube([0, 1], [[0, 0, 1]])": "",
    "probe.Tube('frames', 'boxes')": "",
    "probe.Span('0', 3)": "",
    "probe.Heatmap('values', view.grid.cells)": "the values of a map are numbers",
}
"""What a notebook user types wrongly, and how the one line that she reads begins or goes on."""

CALLS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import probe
model = probe.load()
drawing = "matplotlib" in sys.modules
video = probe.read_video(sys.argv[1], 8)
view = model.watch(video)
(reading,) = view.read("Is there a red circle in this video?")
said = {}
for call in json.load(sys.stdin):
    try:
        eval(call)
        said[call] = "nothing"
    except ValueError as failure:
        said[call] = str(failure)
    except Exception as failure:
        said[call] = f"raised {type(failure).__name__}: {failure}"
json.dump({"said": said, "drawing": drawing}, sys.stdout)
"""


@pytest.fixture(scope="module")
def elsewhere(clip_file):
    """What is said in a process of its own: here beartype would answer in place of the calls."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS, str(clip_file)],
        input=json.dumps(list(WRONG)),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_is_answered_in_one_line(elsewhere, call):
    said = elsewhere["said"]
    assert not said[call].startswith(("raised", "nothing")), said[call]
    assert len(said[call].splitlines()) == 1
    assert WRONG[call] in said[call]


# Pictures

DRAWN = ("reading", "maps", "heatmap", "latent", "reattention", "look")
SHOWN = (*DRAWN, "answer", "video")


@pytest.mark.parametrize("kind", SHOWN)
def test_jupyter_shows_a_small_picture(results, kind):
    html = results[kind]._repr_html_()
    assert len(html) <= MOST_HTML_BYTES
    attributes, picture = image_of(html)
    assert attributes["alt"] == repr(results[kind])
    assert picture.width <= 6.2 * 96 * 1.5
    assert picture.height <= 3.2 * 96 * 1.5
    assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("kind", DRAWN)
def test_a_result_is_drawn_on_the_axes_that_are_given(results, kind):
    first, second = Figure().subplots(1, 2)
    assert results[kind].plot(ax=second) is second
    assert second.has_data()
    assert not first.has_data()
    untouched = set(pyplot.get_fignums())
    drawn = results[kind].plot()
    assert drawn.figure.axes == [drawn]
    (made,) = set(pyplot.get_fignums()) - untouched
    pyplot.close(made)


def with_value(result, kind, value):
    """A result in which a number is this one."""

    def spoil(tensor):
        spoilt = tensor.detach().clone()
        spoilt.view(-1)[0] = value
        return spoilt

    match kind:
        case "reading" | "maps":
            return replace(result, attention=spoil(result.attention))
        case "heatmap":
            return replace(result, values=spoil(result.values))
        case "latent":
            return replace(result, vectors=spoil(result.vectors))
        case "reattention":
            return replace(result, latent=with_value(result.latent, "latent", value))
    return replace(result, reading=with_value(result.reading, "reading", value))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_shown_as_a_line(results, kind, value):
    wrong = with_value(results[kind], kind, value)
    found, text = elements_of(wrong._repr_html_())
    assert [tag for tag, _ in found] == ["pre"]
    assert text == repr(wrong)


def test_nothing_to_draw_is_shown_as_a_line(results):
    untaught = replace(results["reattention"], steps=())
    unread = replace(results["reading"], attention=results["reading"].attention[:0], layers=())
    for result in (untaught, unread):
        found, text = elements_of(result._repr_html_())
        assert [tag for tag, _ in found] == ["pre"]
        assert text == repr(result)


def test_the_orange_bar_is_the_grounding_token(results):
    reading = results["reading"]
    ax = reading.plot(Figure().subplots())
    orange = [n for n, bar in enumerate(ax.patches) if to_hex(bar.get_facecolor()) == "#e69f00"]
    assert orange == [grounding_token(reading)]
    assert f"yes minus no {reading.margin:+.2f}" in ax.get_title(loc="left")
    assert "yes minus no" not in results["maps"].plot(Figure().subplots()).get_title(loc="left")


def test_the_curve_of_learning_is_the_margin_by_step(results):
    learned = results["reattention"]
    _, curve = learned.plot(Figure().subplots()).lines
    assert np.allclose(curve.get_ydata(), [step.margin for step in learned.steps])


def test_a_loaded_look_is_drawn_as_a_fresh_one(results, tmp_path):
    results["answer"].save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json", results["video"]).where
    one, other = (look.plot(Figure().subplots()) for look in (results["look"], loaded))
    heights = [[bar.get_extents().height for bar in ax.patches] for ax in (one, other)]
    assert np.allclose(*heights, atol=0.1)  # pixels; a file holds six decimals
    assert one.get_title(loc="left") == other.get_title(loc="left")


UNSAFE = "$x$ \\frac{$ <script>alert(1)</script>"


@pytest.mark.slow
def test_a_question_is_shown_as_it_is_in_every_picture(results):
    prompt = replace(results["reading"].prompt, question=UNSAFE)
    learned = results["reattention"]
    odd = {
        "reading": replace(results["reading"], prompt=prompt),
        "maps": replace(results["maps"], prompt=prompt),
        "reattention": replace(learned, latent=replace(learned.latent, question=UNSAFE)),
        "answer": replace(
            results["answer"], queries=replace(results["answer"].queries, whole=UNSAFE)
        ),
    }
    for result in odd.values():
        attributes, _ = image_of(result._repr_html_())
        assert UNSAFE.replace("\\", "\\\\") in attributes["alt"]
    for kind in ("reading", "maps", "reattention"):
        ax = odd[kind].plot(Figure().subplots())
        assert UNSAFE in ax.get_title(loc="left")
        assert not ax._left_title.get_parse_math()


@pytest.mark.slow
def test_loading_a_model_does_not_import_matplotlib(elsewhere):
    assert not elsewhere["drawing"]
