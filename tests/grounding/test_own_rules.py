"""Open doors: what a user writes in a module of her own works wherever a shipped rule does."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

from probe.engine.interventions import Edit
from probe.engine.latent_prompts import zero_prompt
from probe.engine.prompts import GENERIC
from probe.engine.readings import yes_minus_no
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.presets import BEST, PAPER, PRESETS
from probe.grounding.reattention import Learning, Relative, reattend
from probe.plain import find

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(scope="module")
def own():
    """The user's module, which she imports from her own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("own_rules")
        sys.modules.pop("own_rules")


@pytest.fixture(scope="module")
def grounded(organism, clip, video):
    tracks = [thing.track() for thing in clip.things]

    def run(config):
        return ground(organism, video, clip.things[0].query, tracks, config=config)

    return run


@pytest.fixture
def config(own):
    """A configuration of which every rule is the user's."""
    learning = Learning(layer=2, loss=own.AskedLess(), checkpointing=False)
    return GrounderConfig(
        layers=(1, 2),
        token=own.LastWords(3),
        track=own.smallest,
        frames=own.later_is_better,
        span=own.first_half,
        learn_where=learning,
        learn_when=Learning(layer=1, loss=own.look_away),
        interventions=(own.HalfHeads(1, 0), own.Steer(3, torch.full((192,), 0.25))),
        relative=False,
    )


def test_a_token_rule(own, grounded):
    found = grounded(replace(BEST, token=own.first_word))
    assert found.where.reading.tokens[found.where.tokens[0]] == "Is"
    assert found.where.heatmap != grounded(BEST).where.heatmap


def test_a_rule_may_name_tokens_by_the_words_of_the_question(grounded):
    named = grounded(replace(BEST, token=lambda _: ["video", "?"])).where
    assert [named.reading.tokens[token] for token in named.tokens] == ["video", "?"]


def test_a_span_rule_and_a_frame_rule(own, grounded, video):
    found = grounded(replace(BEST, span=own.first_half, frames=own.later_is_better))
    assert found.frame_scores.tolist() == list(range(len(video)))
    assert found.span.start == 0
    assert len(found.span) == pytest.approx(video.source_length / 2, abs=2)


def test_a_track_rule(own, grounded):
    found = grounded(replace(BEST, track=own.smallest))
    sizes = [found.where.heatmap.cells.coverage(track).sum() for track in found.candidates]
    assert found.candidates[sizes.index(min(sizes))] is found.track
    assert found.score == -min(sizes)


def test_a_track_rule_that_does_not_score_every_candidate_is_refused(grounded):
    with pytest.raises(ValueError, match="gave 1 scores for"):
        grounded(replace(BEST, track=lambda *_: [0.0]))
    with pytest.raises(ValueError, match="score is NaN"):
        grounded(replace(BEST, track=lambda *given: [float("nan")] * len(given[-1])))


def test_a_loss_on_attention_moves_what_it_looks_at(own, organism, video):
    view = organism.watch(video)

    def looking(view):
        return float(
            own.look_away(view.read(QUESTION, layers=own.look_away.attention_layers)[0], None)
        )

    for layer in (0, 2):
        learned = reattend(view, QUESTION, layer=layer, loss=own.look_away, rate=Relative(0.1))
        assert looking(view.with_latent(learned.latent)) < looking(view)


@pytest.mark.parametrize("layer", [0, 2])
def test_the_gradient_of_a_loss_on_attention_is_that_of_plain_autograd(own, tiny, video, layer):
    """Through the engine's two stages, and through one graph of the whole."""
    view = tiny.watch(video)
    learned = reattend(view, QUESTION, layer=layer, loss=own.AskedLess((2, 3)), rate=1.0)
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], layer)
    vectors = blank.vectors.clone().requires_grad_()
    prompted = view.with_latent(replace(blank, vectors=vectors))
    asked, generic = prompted.read_with_graph(QUESTION, GENERIC, layers=(2, 3))
    (gradient,) = torch.autograd.grad(own.AskedLess((2, 3))(asked, generic), vectors)
    assert gradient.abs().max() > 0
    assert_equal_up_to_rounding(learned.latent.vectors, -gradient)


def test_a_loss_that_asks_for_no_attention_has_none_and_is_told_so(tiny, video):
    def blind(asked, _):
        return asked.mean_attention().sum()

    with pytest.raises(ValueError, match="holds no attention"):
        reattend(tiny.watch(video), QUESTION, loss=blind)


def test_a_head_edit(own, tiny, video):
    view = tiny.watch(video)
    (plain,), (halved,) = view.read(QUESTION), view.under(own.HalfHeads(1, 2)).read(QUESTION)
    # Nothing up to the layer's own attention has changed; what comes after has.
    assert torch.equal(plain.attention[:2], halved.attention[:2])
    assert_differ_beyond_rounding(plain.attention[2:], halved.attention[2:])


def test_a_residual_edit_reaches_only_the_layers_from_its_own_on(own, tiny, video):
    view = tiny.watch(video)
    steered = view.under(own.Steer(2, torch.ones(64)))
    (plain,), (after,) = view.read(QUESTION), steered.read(QUESTION)
    assert torch.equal(plain.attention[:2], after.attention[:2])
    assert_differ_beyond_rounding(plain.attention[2:], after.attention[2:])
    (none,) = view.under(own.Steer(2, torch.zeros(64))).read(QUESTION)
    assert torch.equal(none.logits, plain.logits)


def test_a_residual_edit_is_what_a_plain_pass_with_the_vector_added_gives(own, tiny, video):
    view, vector = tiny.watch(video), torch.randn(64, generator=torch.Generator().manual_seed(0))
    (found,) = view.under(own.Steer(2, vector)).read(QUESTION)
    with torch.no_grad(), view.trace(QUESTION):
        layer = view.layers[2]
        added = torch.zeros_like(layer.input)
        added[:, len(view.prefix) :] = vector
        layer.input = layer.input + added
        logits = view.decoder.handle.lm_head.output[0, -1].save()
    assert_equal_up_to_rounding(found.logits, logits)


def test_patching_states_of_another_question_gives_its_answer(tiny, video):
    """Activation patching: all states of one question put in the place of the other's."""
    view, kept = tiny.watch(video), []

    class Record:
        def edits(self, _):
            return {2: Edit(states=lambda states: kept.append(states.clone()) or states)}

        def reversed(self):
            return self

    class Patch(Record):
        def edits(self, _):
            return {2: Edit(states=lambda _: kept[0])}

    other = "Is there a blue square in this video?"
    (donor,) = view.under(Record()).read(other)
    (patched,) = view.under(Patch()).read(QUESTION)
    assert_equal_up_to_rounding(patched.logits, donor.logits)


def test_gradients_flow_through_a_residual_edit(own, tiny, video):
    view = tiny.watch(video)
    vector = torch.zeros(64, requires_grad=True)
    logits = view.under(own.Steer(1, vector)).answer_logits(QUESTION)
    (gradient,) = torch.autograd.grad(yes_minus_no(logits[0], view.checkpoint.answers), vector)
    step = 1e-3 * gradient / gradient.norm()

    def margin(moved):
        return view.under(own.Steer(1, moved)).read(QUESTION)[0].margin

    measured = (margin(step) - margin(-step)) / 2e-3
    assert measured == pytest.approx(float(gradient.norm()), rel=0.05)


# On disk


def test_every_rule_survives_the_round_trip_of_the_configuration(config):
    record = config.to_dict()
    assert record["token"] == {"is": "own_rules:LastWords", "count": 3}
    assert record["span"] == {"is": "own_rules:first_half"}
    made = GrounderConfig.from_dict(record)
    assert made.to_dict() == record
    for name in ("token", "track", "frames", "span", "learn_where", "learn_when", "layers"):
        assert getattr(made, name) == getattr(config, name)
    assert made.interventions[0] == config.interventions[0]
    vectors = [vars(one.interventions[1])["vector"] for one in (made, config)]
    assert torch.equal(vectors[0], vectors[1])


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_the_round_trip(preset):
    assert GrounderConfig.from_dict(PRESETS[preset].to_dict()) == PRESETS[preset]


def test_checkpointing_survives_the_round_trip():
    config = replace(PAPER, learn_where=Learning(checkpointing=True, steps=3))
    assert GrounderConfig.from_dict(config.to_dict()) == config


@pytest.mark.slow
def test_an_answer_with_rules_of_the_users_own_is_loaded_as_it_was(
    config, grounded, video, tmp_path
):
    found = grounded(config)
    found.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json", video)
    assert loaded == found
    assert loaded.to_dict() == found.to_dict()
    assert loaded.config.track is config.track
    assert grounded(loaded.config).tube == found.tube


def test_a_file_cannot_choose_a_module_to_run(own, config, grounded, video, tmp_path):
    grounded(config).save(tmp_path / "answer.json")
    del sys.modules["own_rules"]
    try:
        with pytest.raises(ValueError, match="import 'own_rules' first"):
            Answer.load(tmp_path / "answer.json", video)
        assert "own_rules" not in sys.modules
    finally:
        sys.modules["own_rules"] = own


def test_a_rule_without_a_name_can_be_used_and_saved_but_not_loaded(grounded, video, tmp_path):
    grounded(replace(BEST, token=lambda _: [0])).save(tmp_path / "answer.json")
    with pytest.raises(ValueError, match="names no rule that can be found again"):
        Answer.load(tmp_path / "answer.json", video)


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("no_such_module:rule", "cannot import 'no_such_module'"),
        ("own_rules:no_such_rule", "there is no 'no_such_rule'"),
        ("own_rules", "names no rule"),
        ("own_rules:first word", "names no rule"),
    ],
)
@pytest.mark.usefixtures("own")
def test_a_rule_that_is_not_there_is_named(identity, words):
    with pytest.raises(ValueError, match=words):
        find(identity, importing=True)


def test_a_preset_that_is_not_there_is_named(organism, video):
    with pytest.raises(
        ValueError, match=r"'bset'; did you mean best\? There are causal, noun, best"
    ):
        ground(organism, video, "the red circle", config="bset")
