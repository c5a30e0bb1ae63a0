import math

import pytest
import torch
from sklearn.decomposition import PCA
from tolerances import assert_equal_up_to_rounding
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from probe.pretraining import losses
from probe.pretraining.losses import (
    compute_gap,
    compute_info_nce,
    compute_prototype_loss,
    compute_targets,
    reduce_teacher,
    translate_back,
)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def slow_cross_entropy(logits, target):
    total = math.log(sum(math.exp(one) for one in logits))
    return -sum(share * (one - total) for share, one in zip(target, logits, strict=True))


def slow_info_nce(images, texts, scale):
    count = len(images)
    losses = []
    for own in range(count):
        right = [float(other == own) for other in range(count)]
        to_texts = [scale * float(images[own] @ texts[other]) for other in range(count)]
        to_images = [scale * float(texts[own] @ images[other]) for other in range(count)]
        losses += [slow_cross_entropy(to_texts, right), slow_cross_entropy(to_images, right)]
    return sum(losses) / len(losses)


def test_info_nce_is_as_its_definition_and_log_n_where_nothing_is_told_apart():
    images, texts = draw(5, 8), draw(5, 8, seed=1)
    found = compute_info_nce(images, texts, torch.tensor(7.0))
    assert_equal_up_to_rounding(found, slow_info_nce(images, texts, 7.0))
    same = images[:1].expand(5, -1)
    nothing = compute_info_nce(same, texts[:1].expand(5, -1), torch.tensor(7.0))
    assert_equal_up_to_rounding(nothing, math.log(5))
    assert compute_info_nce(images, images, torch.tensor(1000.0)) < 1e-6


@pytest.mark.parametrize("temperature", [0.5, 0.0, -1.0])
def test_the_prototype_loss_is_as_its_definition(temperature):
    students, prototypes, centroids = draw(4, 6), draw(3, 6, seed=1), draw(3, 5, seed=2)
    labels = torch.tensor([0, 2, 2, 1])
    targets = compute_targets(labels, centroids, temperature)
    expected = 0.0
    for student, label, target in zip(students, labels, targets, strict=True):
        if temperature > 0:
            near = [math.exp(float(centroids[label] @ one) / temperature) for one in centroids]
            assert_equal_up_to_rounding(target, [one / sum(near) for one in near])
        else:
            assert target.tolist() == [float(place == label) for place in range(3)]
        logits = [9.0 * float(student @ one) for one in prototypes]
        expected += slow_cross_entropy(logits, target.tolist()) / 4
    found = compute_prototype_loss(students, prototypes, targets, torch.tensor(9.0))
    assert_equal_up_to_rounding(found, expected)


def test_back_translation_averages_members_and_knows_no_gap():
    features, labels = draw(6, 4), torch.tensor([0, 3, 3, 1, 0, 3])
    found = translate_back(features, labels, 5)
    for cluster in range(5):
        members = [one for one, label in zip(features, labels, strict=True) if label == cluster]
        expected = sum(members) / len(members) if members else torch.zeros(4)
        assert_equal_up_to_rounding(found[cluster], expected, scale=features)
    # A student and its prototypes move together: differences between prototypes stay.
    moved = translate_back(features + 3.0, labels, 5)
    assert_equal_up_to_rounding(moved[0] - moved[3], found[0] - found[3], scale=moved)


def test_gradients_are_those_of_finite_differences():
    images, texts = draw(4, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(compute_info_nce, (images, texts, scale))
    targets = compute_targets(torch.tensor([0, 1, 1, 2]), draw(3, 5, seed=2), 0.5)
    prototypes = draw(3, 3, seed=3).requires_grad_()
    assert gradcheck(compute_prototype_loss, (images, prototypes, targets, scale))


def test_a_teacher_is_reduced_as_by_scikit_learn(monkeypatch):
    features = 3 * draw(40, 7) + 1
    monkeypatch.setattr(losses, "BLOCK", 15)
    found = reduce_teacher(features, 3)
    expected = PCA(3).fit_transform(normalize(features, dim=-1).numpy())
    # The sign of a direction is free.
    assert_equal_up_to_rounding(found.abs(), abs(expected))


def test_the_gap_is_from_zero_to_two():
    one = draw(5, 4)
    assert float(compute_gap(one, 3 * one)) == pytest.approx(0, abs=1e-12)
    assert float(compute_gap(one[:1], -one[:1])) == pytest.approx(2)
