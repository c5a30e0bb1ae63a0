import json

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

import probe
from probe.engine.prompts import GENERIC
from probe.grounding.box_steering import STEERING_RATE
from probe.grounding.losses import LookOutside
from probe.grounding.reattention import Absolute, Learning, reattend
from probe.interpret.regions import weigh_cells
from probe.organism.benchmark import SHAPES_VAL

QUESTION = "What color is the square?"
BOX = (3.0, 10.0, 20.0, 31.0)


@pytest.fixture(scope="module")
def view(tiny, video):
    return tiny.watch(video)


@pytest.fixture(scope="module")
def steering(view):
    return probe.steer_to(view, QUESTION, BOX, steps=2, max_new_tokens=2)


@pytest.mark.parametrize(
    ("layers", "tokens", "heads"), [((0, 2), None, None), (1, "square", (0, 3)), ((3,), (0, -1), 2)]
)
def test_the_loss_is_the_square_of_the_share_outside(view, layers, tokens, heads):
    region = weigh_cells(view, (20.0, 20.0))
    (reading,) = view.read(QUESTION)
    attention, found = reading.attention.double().numpy(), {"inside": 0.0, "all": 0.0}
    places = range(len(reading.prompt)) if tokens is None else reading.find(tokens)
    for layer in np.atleast_1d(layers):
        for head in range(attention.shape[1]) if heads is None else np.atleast_1d(heads):
            for place in places:
                found["inside"] += (attention[layer, head, place] * region.double().numpy()).sum()
                found["all"] += attention[layer, head, place].sum()
    loss = LookOutside(region, layers, tokens, heads)
    assert_equal_up_to_rounding(loss.share(reading), found["inside"] / found["all"])
    assert_equal_up_to_rounding(loss(reading, reading), (1 - found["inside"] / found["all"]) ** 2)


@pytest.mark.parametrize("layer", [0, 2])
def test_the_gradient_is_that_of_finite_differences(view, layer):
    loss = LookOutside(weigh_cells(view, BOX), (1, 2, 3))
    learned = reattend(view, QUESTION, Learning(layer, 1, Absolute(1.0), loss)).latent
    gradient = -learned.vectors
    direction = gradient / gradient.norm()

    def measure(length):
        moved = learned.__class__(length * direction, layer, learned.model, learned.shape)
        asked, generic = view.with_latent(moved).read(QUESTION, GENERIC)
        return float(loss(asked, generic))

    step = 0.2  # short enough for the curvature, which is left out; long enough for rounding
    slope = (measure(step) - measure(-step)) / (2 * step)
    assert slope == pytest.approx(float(gradient.norm()), rel=0.01)


def test_steering_in_no_steps_is_the_plain_reading(view):
    found = probe.steer_to(view, QUESTION, BOX, steps=0, max_new_tokens=2)
    assert found.before == found.after
    (plain,) = view.read(QUESTION, answer=list(found.before.prompt.answer_ids) or None)
    # Read while it was written, or in one pass: the same but for rounding.
    assert_equal_up_to_rounding(plain.attention, found.after.attention)
    assert_equal_up_to_rounding(plain.logits, found.after.logits)
    assert len(found.shares) == 1
    assert not found.latent.vectors.any()


def test_the_shares_are_those_of_readings_after_so_many_steps(view, steering):
    for steps, share in enumerate(steering.shares):
        again = reattend(view, QUESTION, Learning(0, steps, STEERING_RATE, steering.loss))
        (reading,) = view.with_latent(again.latent).read(QUESTION)
        assert_equal_up_to_rounding(share, steering.loss.share(reading))
    assert list(steering.shares) == sorted(steering.shares)
    assert steering.shares[-1] > steering.shares[0]


def test_what_was_learned_acts_on_any_view_of_the_video_and_survives_the_disk(
    view, steering, tmp_path
):
    steering.learned.save(tmp_path / "steering.safetensors")
    again = probe.Reattention.load(tmp_path / "steering.safetensors")
    said = list(steering.after.prompt.answer_ids) or None
    (reading,) = view.with_latent(again.latent).read(QUESTION, answer=said)
    assert_equal_up_to_rounding(reading.attention, steering.after.attention)


def test_a_steering_is_told_in_a_line_in_json_and_in_pictures(view, steering):
    told = json.loads(json.dumps(steering.to_dict()))
    assert told["question"] == QUESTION
    assert f"{told['shares'][-1]:.0%} of the look" in repr(steering)
    assert len(repr(steering).splitlines()) == 1
    assert steering.to_frame()["share"].tolist() == list(steering.shares[:-1])
    assert "<img" in steering._repr_html_()
    assert len(steering.draw(view.video).axes) == 3


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"tokens": "circle"}, "circle"),
        ({"heads": 9}, "there is no head"),
        ({"layers": 9}, "there is no layer"),
        ({"loss": None}, "steering has no choice 'loss'; there are layer, steps"),
        ({"steps": -1}, "steps is -1; give 0 or more"),
    ],
)
def test_what_cannot_be_steered_is_refused(view, choices, words):
    with pytest.raises(ValueError, match=words):
        probe.steer_to(view, QUESTION, BOX, max_new_tokens=1, **choices)


@pytest.mark.parametrize(
    ("region", "words"),
    [(torch.ones(4, 4), "weights from 0 to 1"), (torch.full((2, 4, 4), 2.0), "from 0 to 1")],
)
def test_a_loss_without_weights_of_cells_is_refused(region, words):
    with pytest.raises(ValueError, match=words):
        LookOutside(region, 0)


@pytest.mark.slow
def test_a_question_that_means_either_is_answered_for_the_thing_in_the_region(organism):
    clip = SHAPES_VAL.case(3).clip
    pairs = [(a, b) for a in clip.things for b in clip.things if a.shape == b.shape and a is not b]
    assert len(pairs) == 2
    view, answers = organism.watch(clip.video()), {}
    for thing in pairs[0]:
        found = probe.steer_to(view, f"What color is the {thing.shape}?", thing.track())
        assert found.shares[-1] > 2 * found.shares[0]
        answers[thing.colour] = found.answers[1]
    assert answers == {colour: colour for colour in answers}
    assert len(answers) == 2
