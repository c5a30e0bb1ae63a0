from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

import probe
from probe.files import read_tensors, write_tensors
from probe.metrics.zero_shot import zero_shot_report
from probe.trained.concepts.attributes import (
    ClassAttributes,
    embed_factors,
    encode_factors,
    read_attributes,
)
from probe.trained.concepts.concept_probe import ConceptProbe
from probe.trained.concepts.learning import Guessing
from probe.trained.concepts.mixing import Placeholders
from probe.trained.concepts.recipes import AWA2, CUB, STATES, Transduction
from probe.trained.concepts.selection import ValidationSplit, select_recipe
from probe.trained.concepts.shapes import ShapeClasses, ShapeStates, collect_shapes

CLASSES = ShapeClasses(("colour", "shape"))
TABLE = encode_factors(CLASSES.combinations)
QUICK = replace(
    STATES,
    semantic=replace(STATES.semantic, encoder=(32,), steps=60),
    prototypes=replace(STATES.prototypes, hidden=48, steps=80),
)


class Composed:
    """States that are a colour's vector and a shape's, with noise: what is unseen can be read."""

    def __init__(self, samples=500, width=24):
        rng = np.random.default_rng(0)
        parts = torch.from_numpy(rng.normal(size=(TABLE.values.shape[1], width))).float()
        self.classes = torch.from_numpy(rng.integers(len(TABLE), size=samples))
        noise = torch.from_numpy(rng.normal(size=(samples, width))).float()
        self.states = TABLE.values[self.classes] @ parts + 0.3 * noise
        self.seen = CLASSES.hold_out(6, rng)

    def learn(self, table=TABLE, recipe=QUICK, **also):
        own = slice(0, 350)
        return ConceptProbe.learn(
            self.states[own], self.classes[own], table, self.seen, recipe, **also
        )

    def report(self, scores):
        return zero_shot_report(scores, self.classes[350:], self.seen)


@pytest.fixture(scope="module")
def composed():
    return Composed()


@pytest.fixture(scope="module")
def learned(composed):
    return composed.learn(about={"model": "none", "layer": 3})


@pytest.mark.slow
def test_classes_that_were_never_taught_are_named_by_their_attributes(composed, learned):
    named = composed.states[350:]
    for scores in (learned.scores(named), learned.semantic_scores(named)):
        assert composed.report(scores).t1 > 0.9
    wrong = TABLE.permuted(np.random.default_rng(1).permutation(len(TABLE)).tolist())
    shuffled = composed.learn(wrong)
    assert composed.report(shuffled.scores(named)).t1 < 0.5
    assert composed.report(shuffled.scores(named)).seen > 0.4  # these it was taught


@pytest.mark.slow
def test_a_probe_learns_from_seen_classes_alone_and_the_same_each_time(composed, learned):
    changed = composed.states.clone()
    changed[~composed.seen[composed.classes]] = 1e3
    again = ConceptProbe.learn(changed[:350], composed.classes[:350], TABLE, composed.seen, QUICK)
    assert torch.equal(again.prototypes, learned.prototypes)


def test_another_order_of_the_classes_changes_the_order_of_the_scores_alone(composed, learned):
    order = torch.randperm(len(TABLE), generator=torch.Generator().manual_seed(0))
    names = tuple(TABLE.names[place] for place in order.tolist())
    turned = replace(
        learned, attributes=ClassAttributes(names, TABLE.values[order]), seen=learned.seen[order]
    )
    some = composed.states[:20]
    assert_equal_up_to_rounding(turned.scores(some), learned.scores(some)[:, order])
    assert turned.name(some) == learned.name(some)
    assert set(learned.name(some, among=["red circle", 3])) <= {"red circle", TABLE.names[3]}


def test_a_saved_probe_is_the_same(learned, composed, tmp_path):
    learned.save(tmp_path / "probe.safetensors")
    found = ConceptProbe.load(tmp_path / "probe.safetensors")
    assert torch.equal(found.scores(composed.states), learned.scores(composed.states))
    assert (found.recipe, found.names, dict(found.about)) == (
        learned.recipe,
        learned.names,
        {"model": "none", "layer": 3},
    )
    assert "24 classes, 18 of them seen" in repr(found)


def test_a_file_whose_sizes_are_not_its_tensors_is_refused(learned, tmp_path):
    path = tmp_path / "probe.safetensors"
    learned.save(path)
    tensors, about = read_tensors(path)
    write_tensors(path, tensors, {**about, "sizes": {**about["sizes"], "hidden": 10**12}})
    with pytest.raises(ValueError, match=r"probe.safetensors: .*concept probe"):
        ConceptProbe.load(path)
    write_tensors(path, tensors, {"format": "another"})
    with pytest.raises(ValueError, match=r"not a concept probe; give a file that ConceptProbe.sa"):
        ConceptProbe.load(path)


def test_published_recipes_differ_where_the_papers_code_does():
    assert (AWA2.unit_attributes, AWA2.subtract_own_mean) == (True, True)
    assert (CUB.unit_attributes, CUB.subtract_own_mean) == (False, False)
    assert AWA2.prototypes.mixing == Placeholders(0.2, 5.0, 6, (5.0, 1.0))


def test_scores_do_not_change_with_the_attributes_length_where_it_is_taken_off(learned, composed):
    longer = replace(learned, attributes=ClassAttributes(TABLE.names, 3 * TABLE.values))
    assert_equal_up_to_rounding(longer.scores(composed.states), learned.scores(composed.states))


# Samples without labels


def test_samples_join_by_ratio_or_as_the_best_of_their_class(learned, composed):
    with torch.no_grad():
        features = learned.features(composed.states[350:])
    rule = Transduction(first=1, every=2, ratio=1.4, best=2)
    guessing = Guessing(features, TABLE.values, learned.seen, rule)
    joining, guessed = guessing.choose(learned.network)
    assert [guessing.is_due(epoch) for epoch in range(5)] == [False, True, False, True, False]
    unseen = (~learned.seen).nonzero()[:, 0].tolist()
    scores = (features @ learned.network.imagine(TABLE.values[unseen]).T).numpy()
    expected = []
    for sample, row in enumerate(scores):
        best, second = sorted(row)[::-1][:2]
        rivals = sorted((one.max() for one in scores if one.argmax() == row.argmax()), reverse=True)
        if best > 1.4 * second or best >= rivals[:2][-1]:
            expected.append((sample, unseen[int(row.argmax())]))
    assert torch.equal(joining, features[[sample for sample, _ in expected]])
    assert guessed.tolist() == [name for _, name in expected]


@pytest.mark.slow
def test_unlabelled_samples_belong_to_a_transductive_recipe(composed):
    joining = replace(
        QUICK.prototypes, epochs=4, steps=60, transduction=Transduction(first=1, every=1)
    )
    recipe = replace(QUICK, prototypes=joining)
    unseen = composed.states[350:][~composed.seen[composed.classes[350:]]]
    found = composed.learn(recipe=recipe, unlabelled=unseen)
    plain = composed.learn(recipe=replace(recipe, prototypes=replace(joining, transduction=None)))
    own = composed.classes[350:][~composed.seen[composed.classes[350:]], None]
    with_them, without = (one.scores(unseen).gather(1, own).mean() for one in (found, plain))
    assert with_them > without + 0.02  # prototypes of unseen classes move to their samples
    with pytest.raises(ValueError, match="samples without labels belong to"):
        composed.learn(unlabelled=unseen)


# Choosing


@pytest.mark.slow
def test_a_recipe_is_chosen_without_a_look_at_unseen_classes(composed):
    own = composed.seen[composed.classes]
    hidden = composed.states.masked_fill(~own[:, None], torch.nan)
    useless = replace(QUICK, prototypes=replace(QUICK.prototypes, steps=1))
    recipes = {"one step": useless, "eighty": QUICK}
    found = select_recipe(hidden, composed.classes, TABLE, composed.seen, recipes)
    assert found.name == "eighty"
    calibrated = found.reports["eighty"].calibrated
    assert calibrated is not None
    assert calibrated.constant == found.constant
    split = ValidationSplit.draw(composed.classes, composed.seen)
    assert not (split.learned & split.named).any()
    assert not split.taught[composed.classes[split.named]].all()
    with pytest.raises(ValueError, match="test classes choose nothing"):
        ValidationSplit.draw(
            composed.classes, composed.seen, (~composed.seen).nonzero()[:, 0].tolist()
        )


# Attributes


def test_words_of_a_factor_have_unit_length_and_a_class_is_their_sum(organism, video):
    view = organism.watch(video)
    found = embed_factors(view, [("red", "circle"), ("red", "square"), ("blue", "square")])
    red_circle, red_square, blue_square = found.values
    assert_equal_up_to_rounding(
        embed_factors(view, [("blue", "circle")]).values[0],
        red_circle - red_square + blue_square,
    )
    assert_equal_up_to_rounding(embed_factors(view, [("red",)]).values.norm(), 1)


def test_a_table_is_read_in_the_order_of_the_classes(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("class,red,round\nred circle,1,0.5\nblue square,0,-2\n")
    assert read_attributes(path).names == ("red circle", "blue square")
    found = read_attributes(path, ("blue square", "red circle"))
    assert found.values.tolist() == [[0, -2], [1, 0.5]]
    with pytest.raises(ValueError, match="1 classes have no row, such as 'green cross'"):
        read_attributes(path, ("red circle", "green cross"))
    path.write_text("class,red,round\nred circle,1,big\n")
    with pytest.raises(ValueError, match="row 2: 'big' is no number"):
        read_attributes(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": torch.full((350,), 99)}, "a class is not one of 0 to 23"),
        ({"states": torch.full((350, 24), torch.nan)}, "a state is NaN or infinite"),
        ({"seen": ["red circle", "mauve"]}, "no class 'mauve'"),
        ({"seen": ["red circle", "blue circle"]}, "2 seen classes have samples"),
        ({"seen": []}, "no class is marked"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(composed, change, problem):
    given = {
        "states": composed.states[:350],
        "classes": composed.classes[:350],
        "seen": composed.seen,
    }
    with pytest.raises(ValueError, match=problem):
        ConceptProbe.learn(attributes=TABLE, recipe=QUICK, **{**given, **change})


# States of objects


def test_the_state_of_an_object_is_that_of_the_cell_it_covers_most(organism, clip, video):
    view = organism.watch(video)
    tracks = [thing.track() for thing in clip.things]
    found = probe.object_states(view, tracks, 2)
    own = view.states(2)[view.grid.positions].unflatten(0, view.grid.shape)
    for track, places, states in zip(tracks, found.places, found.states, strict=True):
        shares = view.grid.cells.coverage(track)
        for frame, (row, column) in enumerate(places.tolist()):
            assert shares[frame, row, column] == pytest.approx(shares[frame].max())
            assert_equal_up_to_rounding(states[frame], own[frame, row, column])
    one = probe.object_states(view, tracks[0], -1)
    assert (one.layer, len(one.states)) == (organism.depth - 1, 1)
    assert len(found.to_frame()) == len(tracks) * len(video.frames)


def test_where_a_track_is_not_there_is_no_state(organism, clip, video):
    view = organism.watch(video)
    (thing, *_) = clip.things
    found = probe.object_states(view, thing.tube(), 0)
    there = torch.tensor([frame in thing.span for frame in video.indices])
    assert torch.equal(found.coverage[0] > 0, there)
    assert torch.equal(found.states[0].isnan().all(-1), ~there)
    with pytest.raises(ValueError, match="no track to follow"):
        probe.object_states(view, [], 0)


def test_samples_of_shapes_are_things_in_frames_in_which_they_act(organism, clip, tmp_path):
    found = collect_shapes(organism, [clip], [0, 3])
    names = [CLASSES.names[place] for place in CLASSES.label(found.factors).tolist()]
    assert set(names) <= {thing.attribute for thing in clip.things}
    assert found.states.shape[:2] == (2, len(names))
    assert found.states.isfinite().all()
    # The middle of a thing shows its colour, so that its pixels tell it.
    colours = {thing.attribute: probe_colour(thing) for thing in clip.things}
    for name, pixels in zip(names, found.pixels.unflatten(1, (-1, 3)), strict=True):
        nearest = min(colours, key=lambda one: (pixels - colours[one]).abs().sum(-1).min().item())
        assert colours[nearest].tolist() == colours[name].tolist()
    found.save(tmp_path / "states.safetensors")
    assert torch.equal(ShapeStates.load(tmp_path / "states.safetensors").at(3), found.at(3))


def probe_colour(thing):
    from probe.organism.world import COLOURS

    return torch.tensor(COLOURS[thing.colour]) / 255


def test_no_colour_or_shape_is_held_out_altogether():
    seen = CLASSES.hold_out(18, np.random.default_rng(0))
    kept = [one for one, own in zip(CLASSES.combinations, seen.tolist(), strict=True) if own]
    assert [len(set(values)) for values in zip(*kept, strict=True)] == [6, 4]
    for count in (19, 24, 0, -1):
        with pytest.raises(ValueError, match=f"{count} of 24 classes cannot be held out"):
            CLASSES.hold_out(count, np.random.default_rng(0))
