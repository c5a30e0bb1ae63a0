import pytest
import torch
from tolerances import assert_equal_up_to_rounding
from torch.nn.functional import normalize

from probe.pretraining.scores import (
    LinearProbeRecipe,
    average_templates,
    classify_by_names,
    compare_grouping,
    compute_recall,
    probe_linearly,
)


def draw_groups(count, seed):
    """Points around three corners, in the order of their classes, as files of folders have them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(count // 3)
    return 4 * torch.eye(5)[labels] + torch.randn(count, 5, generator=generator), labels


def test_a_linear_probe_reads_what_is_there_and_names_its_best_epoch():
    train, test = draw_groups(300, 0), draw_groups(90, 1)
    recipe = LinearProbeRecipe(epochs=10, batch=50)
    found = probe_linearly(train, test, recipe)
    assert found.last > 0.9
    assert found.last == pytest.approx(float(found.right.float().mean()))
    assert found.best >= found.last
    assert 1 <= found.best_epoch <= 10
    assert probe_linearly(train, test, recipe).right.equal(found.right)
    # Labels that have nothing to do with the features cannot be read: no test label leaks.
    mixed = train[1][torch.randperm(300, generator=torch.Generator().manual_seed(2))]
    assert probe_linearly((train[0], mixed), test, recipe).last < 0.6


def slow_recall(images, texts, owners, rank):
    cosines = normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    found = [
        any(owners[text] == image for text in cosines[image].argsort(descending=True)[:rank])
        for image in range(len(images))
    ]
    back = [
        owners[text] in cosines[:, text].argsort(descending=True)[:rank]
        for text in range(len(texts))
    ]
    return sum(found) / len(found), sum(map(bool, back)) / len(back)


def test_recall_is_as_counted_by_hand_and_equal_embeddings_find_nothing():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(7, 4, generator=generator)
    owners = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 0, 3])
    texts = images[owners] + 1.5 * torch.randn(10, 4, generator=generator)
    found = compute_recall(images, texts, owners, (1, 3))
    for rank in (1, 3):
        expected = slow_recall(images, texts, owners, rank)
        assert_equal_up_to_rounding([found[f"text@{rank}"], found[f"image@{rank}"]], [*expected])
    assert 0 < found["mean"] < 1
    same = compute_recall(torch.ones(7, 4), torch.ones(7, 4), torch.arange(7), (1, 5))
    assert same["mean"] == 0


def test_names_in_sentences_are_averaged_as_unit_vectors():
    texts = torch.tensor([[[2.0, 0.0], [0.0, 9.0]], [[0.0, 5.0], [0.0, 1.0]]])
    names = average_templates(texts)
    assert_equal_up_to_rounding(names, [[0.5**0.5, 0.5**0.5], [0.0, 1.0]])
    assert classify_by_names(torch.tensor([[1.0, 0.4], [-1.0, 3.0]]), names).tolist() == [0, 1]


def test_grouping_is_one_for_groups_and_zero_for_chance():
    features, labels = draw_groups(90, 0)
    assert compare_grouping(torch.eye(5)[labels] + 0.01 * features, labels)["ari"] == 1
    mixed = labels[torch.randperm(90, generator=torch.Generator().manual_seed(0))]
    found = compare_grouping(features, mixed)
    assert abs(found["ari"]) < 0.1
    assert abs(found["ami"]) < 0.1
