"""What things do is read where their kind is, and learned from there."""

import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.act_reading import ActReader, ActScores
from probe.organism.catalogue import WORLDS
from probe.organism.tokens import encode
from probe.organism.worlds import Acts

WORLD = WORLDS["things"]
ACTS = Acts(("dog", "cat"), ("jumps", "spins", "rolls"))
FRAMES, CELLS, WIDTH = 3, WORLD.cells**2, 256


def make_reader():
    torch.manual_seed(0)
    return ActReader(WIDTH, ACTS, WORLD), torch.randn(2000, WIDTH)


def place(words, *things):
    """Embed a clip whose cells are near no word but those of some things, one after another."""
    embedded = 0.1 * torch.randn(1, FRAMES * CELLS, WIDTH)
    for name, cells in things:
        (token,) = encode(name, WORLD)
        embedded[0, cells] = words[token]
    return embedded


def test_an_action_is_read_where_its_kind_is_in_each_frame():
    reader, words = make_reader()
    dog, cat = [5, CELLS + 6, 2 * CELLS + 7], [40, CELLS + 40, 2 * CELLS + 40]
    embedded = place(words, ("dog", dog), ("cat", cat))
    states = torch.randn(1, FRAMES * CELLS, WIDTH)
    scores = reader(states, states, embedded, words)
    for number, cells in enumerate((dog, cat)):
        by_head = reader.head(states[0, cells]).logsumexp(0) - torch.tensor(3.0).log()
        assert_equal_up_to_rounding(scores.by_head[0, number], by_head + reader.biases[0])


def test_head_and_words_read_tokens_of_their_own_widths():
    _, words = make_reader()
    reader = ActReader(40, ACTS, WORLD)  # as of frames, whose head reads from the tower
    seen, projected = torch.randn(1, CELLS, 40), torch.randn(1, CELLS, WIDTH)
    scores = reader(seen, projected, projected, words)
    assert scores.by_head.shape == scores.by_words.shape == (1, 2, 3)
    other = reader(seen, torch.randn(1, CELLS, WIDTH), projected, words)
    assert torch.equal(other.by_head, scores.by_head)
    assert not torch.equal(other.by_words, scores.by_words)


def test_no_gradient_says_where_things_are():
    reader, words = make_reader()
    embedded = place(words, ("dog", [5])).requires_grad_()
    states = torch.randn(1, FRAMES * CELLS, WIDTH, requires_grad=True)
    scores = reader(states, states, embedded, words)
    (scores.by_head.sum() + scores.by_words.sum()).backward()
    assert embedded.grad is None
    assert states.grad is not None
    assert states.grad.abs().max() > 0


def test_only_kinds_that_are_shown_are_learned_from():
    done = torch.tensor([[[1.0, 0, 0], [0, 0, 0]]])
    right = torch.tensor([[[9.0, -9, -9], [9, 9, 9]]])
    scores = ActScores(right, right)
    assert scores.compute_loss(torch.tensor([[1.0, 0]]), done) < 0.01
    assert scores.compute_loss(torch.tensor([[1.0, 1]]), done) > 5
    assert scores.compute_loss(torch.tensor([[0.0, 0]]), done) == 0
    assert scores.measure(done) == {"acts_head": 1.0, "acts_words": 1.0}
    # A share of none is no number, and the log is JSON.
    assert scores.measure(torch.zeros_like(done)) == {}
