import importlib
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from published_formats import SCALE, write_clip, write_hcstvg
from tolerances import assert_equal_up_to_rounding

import probe
from probe.candidates.tracks import save_tracks
from probe.grounding.presence import CALIBRATED
from probe.grounding.track_rules import score_tracks
from probe.organism.network import make_network, save_checkpoint

ANALYSES = Path(__file__).parent.parent / "analyses"
SCRIPTS = sorted(
    path.stem for path in ANALYSES.glob("*.py") if "\nCLAIM = Claim(" in path.read_text()
)
OF_ONE_WORLD = (
    "box_steering",
    "causal_on_organisms",
    "claims",
    "concepts",
    "grouping",
    "looks_by_layer",
    "organism",
    "presence",
    "recipe_quality",
    "response_maps",
    "things_answers",
    "things_grounding",
    "training",
    "two_worlds",
)

COMPARED = {
    "choices": ("OPTIONS", "layer_windows"),
    "rate_and_steps": ("LEARNINGS",),
    "right_track": ("COMPARED_PRESETS",),
    "causal_costs": ("COUNTS",),
}
"""What a script tries one after the other, where that is much: two of a kind show the form."""

TWO_CLIPS = ("reattention_changes",)
"""Scripts that ask the question of one clip about another; of all others, one shows the form."""


@pytest.fixture(autouse=True, scope="module")
def _beside_its_neighbours():
    """As when a script is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ANALYSES)
        yield


def claim(script):
    return importlib.import_module(script).CLAIM


def config(**given):
    return importlib.import_module("measurement").MeasurementConfig(**given)


def itself(_, case):
    return case


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """An HC-STVG 2 of three clips."""
    root = tmp_path_factory.mktemp("hcstvg2")
    write_hcstvg(root, 2)
    return root


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """The folder of an organism that was never trained."""
    folder = tmp_path_factory.mktemp("models") / "untrained"
    save_checkpoint(make_network(0), folder)
    return folder


@pytest.fixture
def said(monkeypatch, capsys):
    """Run a script's command line, which is to end in an error; gives what it says."""

    def run(script, *words):
        monkeypatch.setattr("sys.argv", [f"{script}.py", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(script).main() if script == "training" else claim(script).run()
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def test_the_curves_of_a_run_leave_out_pauses_and_stages_without_steps(tmp_path):
    training = importlib.import_module("training")
    times = [0.0, 60.0, 120.0, 1320.0, 1380.0]
    scores = {"loss": 0.5, "f1_words": 0.1, "f1_head": 0.2}
    entries = [
        {"stage": "frames", "step": 50 * place, "time": time, **scores}
        for place, time in enumerate(times)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    (tmp_path / "recipe.json").write_text("{}")
    numbers = training.gather_log(tmp_path)
    assert numbers["stages"].keys() == {"frames"}
    assert numbers["stages"]["frames"]["minutes"] == 4.0
    assert len(training.draw(numbers).axes) == 2


# Every claim


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_figure_draws_from_its_stored_numbers(script):
    asked = claim(script)
    assert asked.draw(json.loads(asked.numbers_path().read_text())).axes


def test_only_training_curves_and_the_page_of_several_models_are_not_measured_with_all():
    unmeasured = [script for script in SCRIPTS if claim(script).measure is None]
    assert unmeasured == [
        *(
            "causal_on_organisms",
            "claims",
            "concepts",
            "grouping",
            "looks_by_layer",
            "recipe_quality",
        ),
        *("response_maps", "things_answers", "things_grounding", "training", "two_worlds"),
    ]


def first_two(compared):
    """Return the first two entries of a mapping, of each mapping in it, or of what is returned."""
    if callable(compared):
        return lambda *arguments: first_two(compared(*arguments))
    if isinstance(next(iter(compared.values())), dict):
        return {name: first_two(options) for name, options in compared.items()}
    return dict(list(compared.items())[:2])


def told(numbers):
    """The model that measured them; entries that are None say nothing, and older ones lack some."""
    model = {name: value for name, value in numbers["model"].items() if value is not None}
    return model, numbers["weights"], numbers["frames"]


@pytest.mark.slow
@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in OF_ONE_WORLD])
def test_what_is_measured_on_another_data_set_has_the_shape_of_what_is_stored(
    script, people, monkeypatch
):
    asked = claim(script)
    module = importlib.import_module(script)
    for name in COMPARED.get(script, ()):
        monkeypatch.setattr(module, name, first_two(getattr(module, name)))
    clips = 2 if script in TWO_CLIPS else 1
    measurement = config(data="hcstvg2", root=people, clips=clips).open()
    found = json.loads(json.dumps(asked.measure(measurement)))
    stored = json.loads(asked.numbers_path().read_text())
    assert found.keys() == stored.keys()
    assert (found["dataset"]["name"], found["cases"], found["failed"]) == ("hcstvg2", clips, {})
    assert told(found) == told(stored)
    assert asked.draw(found).axes


@pytest.mark.slow
@pytest.mark.parametrize("script", ["box_steering", "organism", "presence", "reversal"])
def test_what_is_measured_on_the_shapes_has_the_shape_of_what_is_stored(script):
    asked = claim(script)
    found = asked.measure(replace(asked.config, clips=2).open())
    stored = json.loads(asked.numbers_path().read_text())
    assert found.keys() == stored.keys()
    assert found["dataset"] == stored["dataset"]
    assert told(found) == told(stored)


@pytest.mark.slow
def test_models_are_named_by_their_folders_and_share_one_correction(untrained):
    organisms = importlib.import_module("causal_on_organisms")
    settings = replace(organisms.CLAIM.config, clips=2)
    options = organisms.OrganismsOptions(settings, also=(untrained,))
    numbers = organisms.measure_models(options)
    stored = json.loads(organisms.CLAIM.numbers_path().read_text())
    assert numbers.keys() == stored.keys()
    assert list(numbers["models"]) == ["organism", untrained.name]
    assert str(untrained.parent) not in json.dumps(numbers)
    assert organisms.draw(numbers).axes


@pytest.mark.slow
def test_concepts_of_a_few_clips_have_the_form_of_what_is_stored(untrained, tmp_path, monkeypatch):
    concepts = importlib.import_module("concepts")
    recipes = importlib.import_module("probe.trained.concepts.recipes")
    short = replace(
        recipes.STATES,
        semantic=replace(recipes.STATES.semantic, steps=2),
        prototypes=replace(recipes.STATES.prototypes, steps=2),
    )
    few = {"LEARNED_CLIPS": 12, "SPLITS": 2, "LAYER_SPLITS": 1, "SEEDS": 1, "STATES": short}
    few["RECIPES"] = {
        name: short.with_mixing(one.prototypes.mixing) for name, one in concepts.RECIPES.items()
    }
    for name, value in few.items():
        monkeypatch.setattr(concepts, name, value)
    settings = replace(concepts.CLAIM.config, clips=10)
    given = {"held_out": untrained, "rival": untrained, "keep": tmp_path}
    numbers = concepts.measure_all(concepts.ConceptsOptions(settings, **given))
    stored = json.loads(concepts.CLAIM.numbers_path().read_text())
    for part in ("table", "layers", "without"):
        assert numbers[part].keys() == stored[part].keys()
    assert numbers.keys() == stored.keys()
    assert concepts.draw(numbers).axes
    again = concepts.measure_all(concepts.ConceptsOptions(settings, **given))
    assert again == numbers  # from the parts that were kept


def test_states_name_what_no_probe_was_taught_and_the_controls_do_not():
    numbers = json.loads(claim("concepts").numbers_path().read_text())
    found = {name: row["harmonic"]["interval"] for name, row in numbers["table"].items()}
    for control in ("pixels of the cell", "random weights", "attributes: shuffled"):
        assert found["placeholders"][0] > 2 * found[control][1]
    assert not any(test["survives"] and test["mean"] > 0 for test in numbers["differences"])


def test_cutting_what_is_looked_at_moves_the_answer_more_than_cutting_random_cells():
    numbers = json.loads(claim("cause_and_activation").numbers_path().read_text())
    low, high = numbers["area_between"]["deletion"]["interval"]
    assert low <= high < 0  # the curve of the strongest cells lies below


def test_asking_by_cause_is_above_best_as_the_claim_says():
    numbers = json.loads(claim("causal_grounding").numbers_path().read_text())
    right = {name: row["right_track"]["interval"] for name, row in numbers["table"].items()}
    assert right["CAUSAL"][0] > right["BEST"][1]
    gains = {(one["figure"], one["over"], one["under"]): one for one in numbers["differences"]}
    assert gains["m_viou", "CAUSAL", "BEST"]["survives"]


def test_a_question_means_what_the_look_is_drawn_to_and_less_often_than_what_alone_it_sees():
    numbers = json.loads(claim("box_steering").numbers_path().read_text())
    gains = {one["under"]: one for one in numbers["tests"]}
    for control in ("nothing done", "drawn to the other", "drawn to an empty place"):
        assert gains[control]["survives"]
        assert gains[control]["interval"][0] > 0.3
    assert gains["all else cut"]["interval"][1] < 0


def test_prototypes_end_below_pairs_alone_and_more_pairs_above_as_the_claim_says():
    numbers = json.loads(claim("grouping").numbers_path().read_text())
    for test in numbers["differences"]:
        (low, high), longer = test["interval"], "equal seconds" in test["over"]
        assert low > 0 if longer else high < 0, test["over"]


@pytest.mark.parametrize(
    ("model", "script"), [("organism", "presence"), ("things", "things_grounding")]
)
def test_the_threshold_of_the_package_is_the_one_that_was_measured(model, script):
    numbers = json.loads(claim(script).numbers_path().read_text())
    assert numbers["threshold"]["value"] == CALIBRATED[model]


# Candidates that contain others


@pytest.fixture(scope="module")
def nested():
    """Candidates of one clip by kind."""
    causal = importlib.import_module("causal_grounding")
    (case,) = config(clips=1).open().measure_cases(itself)
    found = {}
    for kind, track in causal.list_candidates(case):
        found.setdefault(kind, []).append(track.interpolated(range(case.video.source_length)))
    return found


def contains(outer, inner):
    """Tell whether every box of one track lies within the box of another in its frame."""
    starts, stops = (
        outer.boxes[:, :2] <= inner.boxes[:, :2],
        outer.boxes[:, 2:] >= inner.boxes[:, 2:],
    )
    return bool(starts.all() and stops.all())


def test_there_is_a_candidate_of_each_kind_for_each_that_is_proposed(nested):
    count = len(nested[""])
    found = {kind: len(tracks) for kind, tracks in nested.items() if kind}
    pairs = count * (count - 1) // 2
    assert found == {
        "whole frame": 1,
        "unions of pairs": pairs,
        "wider boxes": count,
        "random boxes": 5,
    }


def test_added_candidates_contain_the_proposed_ones(nested):
    (whole,) = nested["whole frame"]
    everything = [track for tracks in nested.values() for track in tracks]
    assert all(contains(whole, track) for track in everything)
    for wider, track in zip(nested["wider boxes"], nested[""], strict=True):
        assert contains(wider, track)
        assert not contains(track, wider)
    for union, pair in zip(nested["unions of pairs"], combinations(nested[""], 2), strict=True):
        assert all(contains(union, track) for track in pair)


@pytest.mark.slow
def test_without_the_root_a_score_is_the_root_of_the_size_times_that_with_it(organism):
    causal = importlib.import_module("causal_grounding")
    (case,) = config(clips=1).open().measure_cases(itself)
    view = organism.watch(case.video)
    where = causal.find_where(view, case.queries, probe.CAUSAL)
    asked = view, case.queries, where, case.tracks
    plain, divided = causal.EffectWithoutRoot()(*asked), score_tracks(probe.CAUSAL.track, *asked)
    roots = [int(view.grid.cells.inside(track).sum()) ** 0.5 for track in case.tracks]
    expected = [score * root for score, root in zip(divided.values, roots, strict=True)]
    assert_equal_up_to_rounding(list(plain.values), expected)


# The time of a track


@pytest.mark.slow
def test_a_clip_that_is_read_once_for_all_rows_has_the_times_of_the_grounder(organism):
    when = importlib.import_module("when")
    (case,) = config(data="shapes-val", clips=1).open().measure_cases(itself)
    clip = when.Clip(organism, case)
    for name, row in when.list_rows([(2, 0), (3, 1)], [(0, 0)], 1.0).items():
        found = clip.find(row)
        single = replace(row, track=probe.track_rules.AttentionPeak())
        answer = probe.ground(organism, case.video, case.query, [clip.track], config=single)
        assert found.span == answer.span, name
        assert found.track == answer.track, name


# Thresholds and tests


def test_the_threshold_is_the_middle_of_the_best_ones():
    presence = importlib.import_module("presence")
    records = importlib.import_module("measurement").Records
    margins = [({"": 6.0, "colour": -3.0}), ({"": 2.0, "colour": 1.0, "shape": -8.0})]
    rows = [{kind: {presence.PRESENCE: one} for kind, one in clip.items()} for clip in margins]
    found = presence.choose_threshold(presence.Answers.collect(records(tuple(rows), {})))
    assert found == {"value": 1.5, "range": [1.0, 2.0], "balanced_accuracy": 1.0}


def slow_holm(p_values):
    """Return which tests survive, by the definition of adjusted p values."""
    count = len(p_values)

    def adjust(p):
        return max(
            min(1.0, other * (count - sum(lower < other for lower in p_values)))
            for other in p_values
            if other <= p
        )

    return [adjust(p) <= 0.05 for p in p_values]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_as_its_definition_and_between_bonferroni_and_none(seed):
    p_values = np.random.default_rng(seed).beta(0.2, 2, 12).tolist()
    tests = importlib.import_module("common").apply_holm([{"p": p} for p in p_values])
    survives = [test["survives"] for test in tests]
    assert survives == slow_holm(p_values)
    assert [test["p"] for test in tests] == p_values
    assert all(kept or p > 0.05 / 12 for p, kept in zip(p_values, survives, strict=True))
    assert all(p <= 0.05 for p, kept in zip(p_values, survives, strict=True) if kept)


def test_a_paired_difference_changes_sign_with_its_order():
    common = importlib.import_module("common")
    one, other = np.random.default_rng(0).normal(size=(2, 30)).tolist()
    there, back = common.compare_paired(one, other), common.compare_paired(other, one)
    assert there["mean"] == pytest.approx(-back["mean"])
    assert there["p"] == pytest.approx(back["p"])
    assert common.compare_paired(one, one) == {"mean": 0.0, "interval": [0.0, 0.0], "p": 1.0}


# The command line


@pytest.mark.parametrize("script", OF_ONE_WORLD)
def test_a_claim_about_the_shapes_refuses_another_data_set(script, people, said):
    assert "leave out --data" in said(script, "--data", "hcstvg2", "--root", people)


@pytest.mark.parametrize(
    "words", [("--clips", "2"), ("--data", "vidstg"), ("--model", "another"), ("--first", "3")]
)
def test_only_the_committed_measurement_may_overwrite_the_committed_numbers(words, said):
    stored = claim("layers").numbers_path().read_bytes()
    assert "give this one a folder, --out" in said("layers", "--measure", *words)
    assert claim("layers").numbers_path().read_bytes() == stored


def test_saying_what_to_measure_without_measuring_is_refused(said):
    assert "add --measure" in said("layers", "--clips", "2")


def test_a_folder_without_numbers_says_so(said, tmp_path):
    assert f"{tmp_path / 'layers.json'}: no numbers" in said("layers", "--out", tmp_path)


def test_a_data_set_that_is_not_there_says_so(said, tmp_path):
    words = ("--measure", "--data", "hcstvg1", "--root", tmp_path / "gone", "--out", tmp_path)
    assert "no such folder" in said("layers", *words)


@pytest.mark.slow
def test_another_measurement_lies_in_a_folder_of_its_own(people, tmp_path, monkeypatch):
    words = ["--measure", "--data", "hcstvg2", "--root", people, "--clips", "1", "--out", tmp_path]
    monkeypatch.setattr("sys.argv", ["activation_rank.py", *map(str, words)])
    claim("activation_rank").run()
    assert json.loads((tmp_path / "activation_rank.json").read_text())["cases"] == 1
    assert (tmp_path / "activation_rank.png").stat().st_size


# Clips that cannot be read


@pytest.fixture
def broken(tmp_path):
    """Three clips of HC-STVG: one without its video, one annotated without boxes, one whole."""
    annotations = write_hcstvg(tmp_path, 2)
    next(tmp_path.rglob("7_a.b-c.mp4")).unlink()
    entries = json.loads(annotations.read_text())
    entries["8_a.b-c.mp4"]["bbox"] = []
    annotations.write_text(json.dumps(entries))
    return config(data="hcstvg2", root=tmp_path)


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_is_counted_listed_and_shown(broken):
    numbers = claim("reversal").measure(broken.open())
    assert numbers["cases"] == 3
    assert list(numbers["failed"]) == ["7_a.b-c.mp4", "8_a.b-c.mp4"]
    assert "no such video" in numbers["failed"]["7_a.b-c.mp4"]
    assert len(numbers["consistency"]) == 1
    assert "2 of them failed" in claim("reversal").draw(numbers).get_supxlabel()


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_scores_zero(broken):
    tables = importlib.import_module("tables")

    def means(measurement):
        records = measurement.measure_cases(
            lambda model, case: tables.score_configs(
                model, case, {"best": probe.BEST}, "hcstvg-official"
            )
        )
        return tables.Comparison.from_records(records, "hcstvg-official").table()["best"]

    whole, all_three = means(replace(broken, first=2).open()), means(broken.open())
    assert whole["m_tiou"] > 0
    assert all_three["m_tiou"] == pytest.approx(whole["m_tiou"] / 3)


def test_where_all_clips_fail_the_first_reason_is_given(broken):
    with pytest.raises(ValueError, match=r"all 2 clips fail; 7_a.b-c.mp4: .*no such video"):
        replace(broken, clips=2).open().measure_cases(itself)


# What a claim is told of a clip


@pytest.mark.slow
def test_given_tracks_stand_beside_the_true_one_which_comes_first(people, tmp_path):
    clip = write_clip(tmp_path / "7.mp4", 7)
    video = probe.read_video(tmp_path / "7.mp4")
    given = [replace(thing.track(), boxes=thing.track().boxes * SCALE) for thing in clip.things]
    (tmp_path / "tracks").mkdir()
    save_tracks(given[::-1], video, tmp_path / "tracks" / "7_a.b-c.json")
    asked = config(data="hcstvg2", root=people, clips=1, tracks=tmp_path / "tracks")
    (case,) = asked.open().measure_cases(itself)
    assert len(case.candidates) == len(given) > 1
    assert len(case.tracks) == len(given)  # the true one is not there twice
    assert case.track.boxes[case.truth.frames[0]] == pytest.approx(case.truth.boxes[0])
    (alone,) = replace(asked, tracks=None).open().measure_cases(itself)
    assert (alone.candidates, len(alone.tracks)) == (None, 1)


def test_the_control_question_is_that_of_the_next_video(people):
    measurement = config(data="hcstvg2", root=people, clips=3).open()
    cases = measurement.measure_cases(itself).values
    following = [*cases[1:], cases[0]]
    pairs = zip(cases, following, strict=True)
    assert measurement.control_questions() == {case.name: other.question for case, other in pairs}


def test_a_control_question_needs_a_second_video(people):
    measurement = config(data="hcstvg2", root=people, clips=1).open()
    with pytest.raises(ValueError, match="give more --clips"):
        measurement.control_questions()


def test_clips_to_choose_on_are_not_those_reported_on(people):
    measurement = config(data="hcstvg2", root=people, clips=2).open()
    assert set(measurement.for_choosing().indices).isdisjoint(measurement.indices)
    assert config().for_choosing().data == "shapes-val"
    with pytest.raises(ValueError, match="give fewer --clips"):
        replace(measurement, config=replace(measurement.config, clips=3)).for_choosing()


def test_each_token_is_named_by_its_part_in_the_question(organism):
    (case,) = config(clips=1).open().measure_cases(itself)
    (reading,) = organism.watch(case.video).read(case.question)
    parts = dict(zip(reading.tokens, case.parts(reading), strict=True))
    looks, thing = case.queries.attribute.split()[-2:]
    action = case.query.partition(" that ")[2].split()
    assert (parts[looks], parts[thing]) == ("LOOKS", "SUBJECT")
    assert {parts[word] for word in action} == {"ACTION"}
    assert (parts["Is"], parts["video"], parts[":"]) == ("is", "video", ": (-1)")


def test_best_is_what_was_chosen():
    choices = importlib.import_module("choices")
    numbers = json.loads(choices.CLAIM.numbers_path().read_text())
    options = {**choices.OPTIONS, "layers": choices.layer_windows(numbers["model"]["layers"])}
    picked = {choice: options[choice][name] for choice, name in numbers["chosen"].items()}
    assert replace(probe.PLAIN, **picked) == probe.BEST


def test_a_figure_is_drawn_anew_only_if_its_numbers_or_its_script_changed(tmp_path):
    """On another machine the same numbers may give a label that lies a pixel further."""
    common = importlib.import_module("common")

    def draw(numbers):
        figure = common.create_figure(2, 1)
        figure.text(0.5, 0.5, str(numbers["value"]))
        return figure

    one = common.Claim(__file__, draw)
    one.store({"value": 1}, tmp_path)
    one.redraw(tmp_path)
    figure = one.figure_path(tmp_path)
    first = figure.stat().st_mtime_ns, figure.read_bytes()
    one.redraw(tmp_path)
    assert (figure.stat().st_mtime_ns, figure.read_bytes()) == first
    one.store({"value": 2}, tmp_path)
    one.redraw(tmp_path)
    assert figure.read_bytes() != first[1]
