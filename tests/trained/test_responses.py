import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny import save_tiny_llava
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from zoo import save_tiny

import probe
from probe.candidates.proposers import PROPOSERS
from probe.engine.fingerprint import fingerprint
from probe.engine.kept_views import keep_views
from probe.engine.model import VideoLM
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.evaluator import Evaluator
from probe.evaluation.rules import RuleNames
from probe.files import read_tensors, write_tensors
from probe.grounding.config import GrounderConfig
from probe.grounding.cues import split_cues
from probe.grounding.presets import PLAIN
from probe.organism.benchmark import SHAPES_VAL
from probe.organism.things.world import THINGS
from probe.trained.responses import training
from probe.trained.responses.drawn import DRAWN_SEED, describe_drawn
from probe.trained.responses.examples import Described, Material, any_frame, frames_of_span
from probe.trained.responses.presets import VIDEO, Schedule
from probe.trained.responses.responses import Responses
from probe.trained.responses.shipped import load_shipped
from probe.trained.responses.states import StateStore, read_states
from probe.trained.responses.texts import Phrases, TextStates, embed_texts
from probe.trained.responses.training import ResponseRecipe, train_responses
from probe.video import Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUERY = "the red circle that jumps"

SMALL = ResponseRecipe(
    2,
    replace(VIDEO, network=replace(VIDEO.network, channels=8)),
    Schedule(steps=4, batch=4, rate=1e-3),
    cues=split_cues,
)


@pytest.fixture(scope="module")
def model():
    return probe.load()


@pytest.fixture(scope="module")
def view(model):
    return model.watch(SHAPES_VAL.case(0).clip.video())


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def trained(model, states, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    learned = train_responses(
        model, describe_drawn(6), SMALL, states=states, run=folder / "run", data="shapes"
    )
    learned.save(folder / "maps.safetensors")
    return folder / "maps.safetensors"


def tensors(learned):
    return {**learned.network.state_dict(), "bank": learned.bank.cues}


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    model, states, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "SAVED_STEPS", 2)
    compute, calls = training._compute_losses, []

    def stop_at_the_fourth(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return compute(*given)

    def run():
        return train_responses(
            model, describe_drawn(6), SMALL, states=states, run=tmp_path, data="shapes"
        )

    monkeypatch.setattr(training, "_compute_losses", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        run()
    found = run()
    assert len(calls) == 4 + 2  # the third step was taken twice: it came after what was saved
    whole = Responses.load(trained).learned
    for name, one in tensors(found).items():
        assert_equal_up_to_rounding(one, tensors(whole)[name])
    assert found.content == whole.content
    other = replace(SMALL, seed=1)
    with pytest.raises(ValueError, match="a run of other choices; give"):
        train_responses(model, describe_drawn(6), other, states=states, run=tmp_path)


def test_states_are_computed_once_and_are_those_of_the_view(model, states, monkeypatch):
    watched = []
    watch = VideoLM.watch
    monkeypatch.setattr(VideoLM, "watch", lambda *given: watched.append(given) or watch(*given))
    (one, *_) = videos = describe_drawn(6)
    store = StateStore.open(states, model, 2).collect(model, videos)
    before = len(watched)  # none, if a training collected them
    store.collect(model, videos)
    assert len(watched) == before
    kept, clip = store.read(one), one.read()
    shown = read_states(watch(model, clip.video), 2)
    assert float((kept.states.float() - shown).abs().max()) < 1e-2 * float(shown.abs().max())
    assert kept.spans == clip.spans
    assert len(kept.proposals) == len(clip.proposals)
    with pytest.raises(ValueError, match="states of another model or layer"):
        StateStore.open(states, model, 3)


def test_maps_are_saved_with_all_they_belong_to_and_named_by_file_and_content(
    model, view, trained, tmp_path
):
    maps = Responses.load(trained)
    heat = maps.heatmap(view, QUERY)
    assert heat.cells == view.grid.cells
    assert float(heat.values.min()) >= 0
    assert float(heat.values.max()) == pytest.approx(1, abs=1e-2)
    assert (maps.stages(view, QUERY)[-1].values == heat.values).all()
    assert maps.about["fingerprint"] == fingerprint(model)
    assert maps.about["curve"][0][0] == 0
    config = replace(PLAIN, maps=maps, ask_whole=True)
    again = GrounderConfig.from_dict(config.to_dict()).maps
    assert isinstance(again, Responses)
    assert (again.heatmap(view, QUERY).values == heat.values).all()
    assert probe.ground(model, view.video, QUERY, config=config).where.heatmap == heat
    # Another file under the same name is not taken for it.
    changed = replace(maps.learned, about={**maps.about, "data": "others"})
    copy = tmp_path / "maps.safetensors"
    changed.save(copy)
    with pytest.raises(ValueError, match="other response maps than those"):
        _ = Responses(str(copy), maps.content).learned
    with pytest.raises(ValueError, match="never saved"):
        _ = Responses().learned


def test_a_cue_reaches_the_map_and_the_video_of_another_frame_does_not(view, trained):
    maps = Responses.load(trained).learned
    other = replace(maps, cue_rule=Phrases({QUERY: ["the green square"]}))
    assert_differ_beyond_rounding(maps.score(view, QUERY), other.score(view, QUERY))
    scores = maps.score(view, QUERY)
    batch = maps.prepare(view, QUERY)
    cells = batch.cells.clone()
    cells[1:] += 1
    moved = maps.network.respond(replace(batch, cells=cells), maps.bank)
    assert_equal_up_to_rounding(moved[:, 0], scores[:, 0], scale=scores)


def test_maps_of_other_weights_are_refused_wherever_they_are_used(tmp_path):
    folder = tmp_path / "model"
    save_tiny_llava(folder)
    clips, recipe = describe_drawn(2), replace(SMALL, layer=1, schedule=Schedule(2, batch=2))
    paths = {"states": tmp_path / "states", "run": tmp_path / "run"}
    learned = train_responses(probe.load(folder, dtype="float32"), clips, recipe, **paths)
    learned.save(tmp_path / "maps.safetensors")
    maps, video = Responses.load(tmp_path / "maps.safetensors"), clips[0].read().video
    grounder = replace(PLAIN, maps=maps, relative=False, ask_whole=True)
    evaluation = EvaluationConfig(
        "shapes-val", method="responses", rules=RuleNames(maps=f"{tmp_path}/maps.safetensors")
    )
    uses = {
        "the map": lambda model: maps.heatmap(model.watch(video), QUERY),
        "stages": lambda model: maps.stages(model.watch(video).reversed(), QUERY),
        "scores": lambda model: maps.score(keep_views(model).watch(video), QUERY),
        "the network": lambda model: learned.score(model.watch(video), QUERY),
        "a batch": lambda model: learned.prepare(model.watch(video), QUERY),
        "grounding": lambda model: probe.ground(model, video, QUERY, config=grounder),
        "many queries": lambda model: probe.ground_many(model, [(video, QUERY)], config=grounder),
        "evaluation": lambda model: Evaluator(evaluation, evaluation.load_dataset(), model),
    }
    moved = probe.load(shutil.copytree(folder, tmp_path / "of another name"), dtype="float32")
    for use in uses.values():
        assert use(moved) is not None
    weights, about = read_tensors(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1e-6  # of the same name and sizes
    write_tensors(folder / "model.safetensors", weights, about)
    other = probe.load(folder, dtype="float32")
    assert other.identity == {**moved.identity, "name": str(folder)}
    for name, use in uses.items():
        with pytest.raises(ValueError, match="other weights, files or number format; open") as told:
            use(other)
        assert "\n" not in str(told.value), name
    shipped = EvaluationConfig("shapes-val", method="responses")
    with pytest.raises(ValueError, match="learned on 'organism'"):
        Evaluator(shipped, shipped.load_dataset(), moved)


def test_words_that_say_nothing_are_refused(view, trained):
    with pytest.raises(ValueError, match="no word of 'zebra'"):
        Responses.load(trained).heatmap(view, "zebra")
    with pytest.raises(ValueError, match="no phrases are known"):
        Phrases({"a": ["b"]})(QUERY)


def test_texts_read_as_states_say_nothing_about_the_video(model, view):
    other = model.watch(SHAPES_VAL.case(1).clip.video())
    read = TextStates(3)
    mine, others = (read(one, [QUERY, "the blue square"]) for one in (view, other))
    assert_equal_up_to_rounding(mine, others)
    assert_differ_beyond_rounding(mine[0], mine[1])
    assert_equal_up_to_rounding(TextStates(0)(view, [QUERY]), embed_texts(view, [QUERY]))


def test_any_family_can_be_read_also_with_videos_of_several_sizes(tmp_path):
    save_tiny("qwen2_5_vl", tmp_path / "model")
    model = probe.load(tmp_path / "model", dtype="float32")
    rng = np.random.default_rng(0)

    def describe(name, height):
        frames = rng.integers(0, 255, (4, height, 56, 3), dtype=np.uint8)
        material = Material(Video(frames, (0, 1, 2, 3), np.arange(4) / 4))
        return Described(name, ("a red circle", "a blue square"), lambda: material)

    videos = [describe("a", 56), describe("b", 56), describe("c", 84), describe("d", 84)]
    recipe = replace(
        SMALL, layer=1, schedule=Schedule(steps=3, batch=2), frames=any_frame, text=TextStates(1)
    )
    learned = train_responses(model, videos, recipe, states=tmp_path / "s", run=tmp_path / "r")
    seen = model.watch(videos[2].read().video)
    assert Responses.of(learned).heatmap(seen, "a red circle").cells == seen.grid.cells


def test_frames_are_those_of_the_span_if_it_is_known_and_shown(view):
    cells = view.grid.cells  # of frames 4, 12, ... 60
    assert list(frames_of_span(cells, probe.Span(10, 30))) == [1, 2, 3]
    assert list(frames_of_span(cells, None)) == list(range(8))
    assert list(frames_of_span(cells, probe.Span(5, 6))) == list(range(8))
    assert list(any_frame(cells, probe.Span(10, 30))) == list(range(8))


def test_the_shipped_maps_are_of_the_shipped_model_and_find_things(model):
    load_shipped().check(model)
    found = []
    for case in SHAPES_VAL.cases(12):
        view = model.watch(case.clip.video())
        heat = load_shipped().heatmap(view, case.query)
        found.append(heat.points_at(case.truth))
    assert np.mean(found) > 0.5  # by chance one in twenty


def test_states_of_other_frames_are_kept_apart(tmp_path):
    store = StateStore(tmp_path, 0, "a model")
    one = replace(describe_drawn(1)[0], frames="8")
    assert store._path(one) == store._path(replace(one))
    assert store._path(one) != store._path(replace(one, frames="16"))


def test_things_are_described_by_what_is_true_of_one_alone_and_proposed_on_their_grounds():
    one, other = describe_drawn(2, world=THINGS)
    clip = THINGS.make_clip((DRAWN_SEED, 0))
    assert one.sentences == tuple(thing.query for thing in clip.asked)
    assert one.name != other.name
    material = one.read()
    assert material.spans == tuple(thing.span for thing in clip.asked)
    assert material.proposals == PROPOSERS["nested"].propose(material.video)
