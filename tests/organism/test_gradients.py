"""Gradients of a batch that is learned part by part."""

import pytest
import torch
from tolerances import assert_equal_up_to_rounding
from torch import nn

from probe.organism.gradients import compute_gradients


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def make_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(40, 60), nn.Tanh(), nn.Linear(60, 7))
    fixed = nn.Parameter(torch.zeros(3), requires_grad=False)
    return network, [*network.parameters(), nn.Parameter(torch.zeros(3)), fixed]


def learn(inputs, size):
    network, parameters = make_network()

    def compute_loss(part):
        found = network(part)
        return found.sin().sum(), found.detach()

    found = compute_gradients(parameters, inputs.split(size), compute_loss)
    return torch.cat(found), [parameter.grad for parameter in parameters]


def test_gradients_are_those_of_the_sum_and_do_not_depend_on_the_number_of_threads(threads):
    inputs = torch.randn(37, 40, generator=torch.Generator().manual_seed(1))
    network, _ = make_network()
    whole = network(inputs)
    whole.sin().sum().backward()
    expected = [parameter.grad for parameter in network.parameters()]
    found = {}
    for number in (1, 2, 3):
        threads(number)
        found[number] = learn(inputs, 5)
        assert torch.get_num_threads() == number
    reports, gradients = found[1]
    assert_equal_up_to_rounding(reports, whole)
    # Of the parameter that is fixed, and of the one that no loss depends on.
    assert [gradients.pop(), gradients.pop()] == [None, None]
    for mine, theirs in zip(gradients, expected, strict=True):
        assert_equal_up_to_rounding(mine, theirs)
    for number in (2, 3):
        for mine, theirs in zip(gradients, found[number][1], strict=False):
            assert torch.equal(mine, theirs)


def test_the_gradients_of_an_earlier_step_are_forgotten():
    network, parameters = make_network()
    for _ in range(2):
        compute_gradients(parameters, [torch.ones(1, 40)], lambda one: (network(one).sum(), None))
    once = [parameter.grad for parameter in network.parameters()]
    network.zero_grad()
    network(torch.ones(1, 40)).sum().backward()
    for mine, theirs in zip(once, network.parameters(), strict=True):
        assert_equal_up_to_rounding(mine, theirs.grad)


def test_a_part_that_fails_stops_the_step_and_threads_are_as_before(threads):
    def fail(part):
        raise FloatingPointError(part)

    threads(2)
    with pytest.raises(FloatingPointError, match="second"):
        compute_gradients([], ["second"], fail)
    assert torch.get_num_threads() == 2
