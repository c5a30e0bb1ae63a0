import json
import math
from dataclasses import replace

import pytest
import torch
from tolerances import assert_equal_up_to_rounding
from torch import nn

from probe.pretraining import runs
from probe.pretraining.clusters import EpisodeTasks, find_clusters, make_tasks
from probe.pretraining.learner import LARGEST_SCALE, PairLearner, Towers
from probe.pretraining.losses import compute_info_nce
from probe.pretraining.recipe import EIGHT_CARDS, ONE_CARD, PairRecipe, compute_rate
from probe.pretraining.runs import PairRun, learn_pairs

SMALL = PairRecipe(
    episodes=4,
    episode_pairs=24,
    batch=8,
    rate=1e-2,
    warm_steps=2,
    warm_episodes=1,
    locked_episodes=1,
    prototypes=4,
    teacher_weight=1.0,
    head_hidden=8,
    head_width=4,
    cluster_restarts=1,
)


class Numbers:
    """Pairs of random numbers, augmented by noise."""

    def __init__(self, count):
        self.images = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.images)

    def read(self, index, seed):
        noise = torch.Generator().manual_seed(sum(seed))
        picture = self.images[index] + 0.1 * torch.randn(6, generator=noise)
        return picture, torch.tensor([index % 5, index % 3 + 5])


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(8, 6)

    def forward(self, tokens):
        return self.words(tokens).mean(1)


def make_learner(recipe=SMALL):
    torch.manual_seed(0)
    image = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1), nn.Linear(6, 6))
    return PairLearner(Towers(image, Words(), 6), recipe)


def run_in(folder, **given):
    teacher = torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
    return PairRun(folder, teacher=teacher, **given)


def test_a_stopped_run_goes_on_to_the_weights_and_the_log_of_an_unbroken_one(tmp_path, monkeypatch):
    whole = make_learner()
    log = learn_pairs(whole, Numbers(30), SMALL, run_in(tmp_path / "whole"))
    store, stored = runs.save_state, []

    def stop_after_two(*arguments):
        store(*arguments)
        stored.append(1)
        if len(stored) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        learn_pairs(make_learner(), Numbers(30), SMALL, run_in(tmp_path / "broken"))
    monkeypatch.undo()
    torch.manual_seed(77)  # the second part begins in another state of the world
    continued = make_learner()
    assert learn_pairs(continued, Numbers(30), SMALL, run_in(tmp_path / "broken")) == log
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, continued.state_dict()[name]), name
    assert json.loads((tmp_path / "broken" / "log.json").read_text()) == log


def test_a_locked_episode_changes_the_texts_and_no_picture(tmp_path):
    seen = {}

    def keep(learner, episode):
        seen[episode] = {k: v.clone() for k, v in learner.state_dict().items()}
        return {}

    learn_pairs(make_learner(), Numbers(30), SMALL, run_in(tmp_path, after_episode=keep))
    before, after = seen[3], seen[4]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("towers.image") for name in changed)
    assert any(name.startswith("towers.text") for name in changed)
    # Heads learn only from prototypes: not in the warm episode, not in the locked one.
    start = make_learner().state_dict()
    heads = [name for name in start if "head" in name]
    assert all(torch.equal(start[name], seen[1][name]) for name in heads)
    assert all(name not in changed for name in heads)
    assert not torch.equal(seen[1]["image_head.0.weight"], seen[2]["image_head.0.weight"])


def test_a_batch_learns_what_its_losses_add_up_to():
    learner, pairs = make_learner().eval(), Numbers(12)
    images = pairs.images
    tokens = torch.stack([pairs.read(index, (0,))[1] for index in range(12)])
    image, text = learner.embed_images(images), learner.embed_texts(tokens)
    pictures, sentences = (side.detach() for side in learner.project(image, text))
    students = (pictures, sentences)
    recipe = replace(SMALL, prototype_weight=2.0, teacher_weight=0.0)
    tasks = make_tasks(pictures, sentences, None, recipe, 0)
    places = torch.tensor([3, 1, 4])
    found = learner.compute_loss(images[places], tokens[places], tasks, places)
    alone = learner.compute_loss(images[places], tokens[places], type(tasks)(), places)
    scale = learner.prototype_scale.exp()
    expected = 0.0
    for side, other in ((0, 1), (1, 0)):
        clusters = find_clusters(students[other], recipe, 0)
        means = torch.stack([students[side][clusters.labels == k].mean(0) for k in range(4)])
        for place in places.tolist():
            near = clusters.centroids @ clusters.centroids[clusters.labels[place]]
            target = (near / recipe.temperature).softmax(0)
            says = (scale * means @ students[side][place]).log_softmax(0)
            expected -= (target * says).sum() / len(places)  # weight 2, mean of two sides
    assert_equal_up_to_rounding(found - alone, expected)


def test_products_of_embeddings_keep_their_digits_where_towers_have_few():
    learner, pairs = make_learner().eval(), Numbers(12)
    tokens = torch.stack([pairs.read(index, (0,))[1] for index in range(12)])
    with torch.no_grad():
        learner.pair_scale.fill_(math.log(LARGEST_SCALE))
    with torch.autocast("cpu", torch.bfloat16):
        sides = learner.embed_images(pairs.images), learner.embed_texts(tokens)
        found = learner.compute_loss(pairs.images, tokens, EpisodeTasks(), torch.arange(12))
    units = learner.bring_to_unit(*sides)
    assert_equal_up_to_rounding(found, compute_info_nce(*units, learner.pair_scale.exp()))


def test_the_rate_rises_falls_and_ends_earlier_for_pictures():
    recipe = replace(SMALL, warm_steps=4)  # 12 steps, 9 of them before the image tower is fixed
    texts = [compute_rate(recipe, step, recipe.steps) for step in range(12)]
    images = [compute_rate(recipe, step, recipe.unlocked_steps) for step in range(12)]
    assert texts[:4] == images[:4] == [recipe.rate * part / 4 for part in (1, 2, 3, 4)]
    assert texts[4] == images[4] == recipe.rate
    assert texts[4:] == sorted(texts[4:], reverse=True)
    assert images[9:] == [0, 0, 0]
    assert 0 < texts[11] < texts[8]


def test_the_published_settings_are_those_of_the_released_commands():
    assert (ONE_CARD.steps_an_episode, ONE_CARD.episodes * 0.2 / 2.5) == (3125, 8)
    assert (EIGHT_CARDS.steps, EIGHT_CARDS.episodes * 0.2 / 2.5) == (400 * 390, 32)
    assert LARGEST_SCALE == 100


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 25}, "a batch needs 2 pairs"),
        ({"locked_episodes": 4}, "give more episodes"),
        ({"prototypes": 25}, "25 prototypes of 24 pairs"),
        ({"locked_episodes": -1}, "locked_episodes is -1; give 0 or more"),
        ({"rate": 0.0}, "rate is 0.0; give a number above 0"),
        ({"decay": float("nan")}, "decay is nan"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **changes)


def test_a_teacher_without_weight_or_of_other_pairs_is_refused(tmp_path):
    plain = replace(SMALL, teacher_weight=0.0)
    with pytest.raises(ValueError, match="features are given, but the weight"):
        learn_pairs(make_learner(), Numbers(30), plain, run_in(tmp_path))
    with pytest.raises(ValueError, match="30 rows of the teacher's features for 31 pairs"):
        learn_pairs(make_learner(), Numbers(31), SMALL, run_in(tmp_path))
    assert not list(tmp_path.iterdir())
