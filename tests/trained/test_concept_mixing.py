import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from tolerances import assert_equal_up_to_rounding

from probe.trained.concepts.mixing import (
    Episode,
    Mixup,
    NoMixing,
    Placeholders,
    draw_neighbours,
    draw_shares,
    sparsemax,
)

SHOTS, WAYS, WIDTH, SAID = 3, 7, 5, 4


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.fixture
def episode():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(SHOTS, WAYS, WIDTH)).astype(np.float32)
    attributes = rng.normal(size=(WAYS, SAID)).astype(np.float32)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    attributes /= np.linalg.norm(attributes, axis=-1, keepdims=True)
    return Episode(torch.from_numpy(features), torch.from_numpy(attributes))


def slow_sparsemax(row):
    """The projection by its definition: a threshold above which the row sums to 1."""
    row = np.asarray(row, dtype=float)
    threshold = brentq(lambda t: np.maximum(row - t, 0).sum() - 1, row.min() - 1, row.max())
    return np.maximum(row - threshold, 0)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_sparsemax_is_the_projection_on_the_simplex(scale):
    rows = scale * np.random.default_rng(1).normal(size=(40, 9))
    found = sparsemax(torch.from_numpy(rows).float())
    assert_equal_up_to_rounding(found, [slow_sparsemax(row) for row in rows], scale=[scale, 1])
    assert_equal_up_to_rounding(found.sum(-1), np.ones(40))
    assert_equal_up_to_rounding(sparsemax(found), found)  # what is on the simplex stays


def slow_relations(vectors):
    count = len(vectors)
    cosines = [[float(unit(one) @ unit(other)) for other in vectors] for one in vectors]
    return [
        [(cosine - min(row)) / (max(row) - min(row)) + (i == j) for j, cosine in enumerate(row)]
        for i, row in zip(range(count), cosines, strict=True)
    ]


def slow_partners(vectors, rule):
    rows = []
    for i, row in enumerate(slow_relations(vectors)):
        wanted = [
            (1 - rule.alike) * (1 - m) + rule.alike * m - (1e4 if i == j else 0)
            for j, m in enumerate(row)
        ]
        rows.append(slow_sparsemax(rule.temperature * np.array(wanted)))
    return np.array(rows)


@pytest.mark.parametrize("alike", [0.0, 0.2, 1.0])
def test_placeholders_are_those_of_a_plain_version(episode, alike):
    rule = Placeholders(alike, temperature=2.0, neighbours=3, beta=(5.0, 2.0), strength=20.0)
    features, attributes = (one.numpy() for one in (episode.features, episode.attributes))
    seen = np.mean([slow_partners(shot, rule) for shot in features], axis=0)
    said = slow_partners(attributes, rule)
    rng = np.random.default_rng(4)
    mask = draw_neighbours(WAYS, rule.neighbours, rng).numpy()
    kept = draw_shares(WAYS, rule.beta, rng).numpy()[:, 0]
    found = rule(episode, np.random.default_rng(4))
    for way in range(WAYS):
        others = [way2 for way2 in range(WAYS) if way2 != way and mask[way, way2]]
        weights = {
            one: 20 * (1 - kept[way]) * (seen[way, one] + said[way, one]) / 2 for one in others
        }
        moved = kept[way] * attributes[way]
        moved = moved + sum(weight * attributes[one] for one, weight in weights.items())
        assert_equal_up_to_rounding(found.attributes[way], unit(moved), roundings=5000)
        for shot in range(SHOTS):
            mixed = kept[way] * features[shot, way]
            mixed = mixed + sum(weight * features[shot, one] for one, weight in weights.items())
            assert_equal_up_to_rounding(found.features[shot, way], unit(mixed), roundings=5000)


def test_plain_mixup_moves_a_class_to_the_mean_of_its_neighbours(episode):
    rule = Mixup(neighbours=4, beta=(2.0, 2.0))
    rng = np.random.default_rng(4)
    mask = draw_neighbours(WAYS, 4, rng).numpy()
    kept = draw_shares(WAYS, (2.0, 2.0), rng).numpy()[:, 0]
    found = rule(episode, np.random.default_rng(4))
    for way in range(WAYS):
        mean = episode.attributes.numpy()[mask[way] > 0].mean(0)
        mixed = kept[way] * episode.attributes[way].numpy() + (1 - kept[way]) * mean
        assert_equal_up_to_rounding(found.attributes[way], unit(mixed))


def test_placeholders_of_no_strength_are_plain_prototypes(episode):
    found = Placeholders(strength=0.0)(episode, np.random.default_rng(0))
    plain = NoMixing()(episode, np.random.default_rng(0))
    assert_equal_up_to_rounding(found.features, plain.features)
    assert_equal_up_to_rounding(found.attributes, plain.attributes)


def test_another_order_of_the_classes_changes_the_order_of_the_graph_alone(episode):
    rule, order = Placeholders(), torch.randperm(WAYS, generator=torch.Generator().manual_seed(2))
    neighbours = draw_neighbours(WAYS, 4, np.random.default_rng(3))
    plain = rule.graph(episode, neighbours)
    turned = Episode(episode.features[:, order], episode.attributes[order])
    assert_equal_up_to_rounding(
        rule.graph(turned, neighbours[order][:, order]), plain[order][:, order]
    )


def test_no_class_is_drawn_as_its_own_neighbour_and_all_others_are():
    rng = np.random.default_rng(0)
    drawn = torch.stack([draw_neighbours(6, 2, rng) for _ in range(200)]).sum(0)
    assert not drawn.diagonal().any()
    assert ((drawn > 0) | torch.eye(6).bool()).all()
