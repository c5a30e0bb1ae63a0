import importlib.util
import json
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import start_copy
from tolerances import assert_differ_beyond_rounding, tolerance
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from probe.cli import main
from probe.grounding.presets import PAPER
from probe.organism.world import make_clip

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = ("attention", "reattention", "ground", "scale", "passes", "sharing", "batch", "answering")


@pytest.fixture(autouse=True, scope="module")
def _beside_its_neighbours():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)  # as when a script is run
        yield


def opened(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def quick():
    return opened("comparison").BenchmarkOptions(quick=True)


@pytest.fixture(scope="module")
def measured(quick):
    """What each script measured at quick size, once."""
    found = {}

    def quickly(name):
        if name not in found:
            further = [time_copy] if name == "batch" else []
            found[name] = opened(name).measure(quick, *further)
        return found[name]

    return quickly


def time_copy(words, options):
    """As the benchmark's own `time_process`, in a copy of this process, which has read torch."""
    read, write = os.pipe()
    start = time.perf_counter()
    copy = start_copy(run_ground, words, options, write)
    os.close(write)
    with open(read) as lines:  # noqa: PTH123  a pipe has no path
        seconds = [time.perf_counter() - start for _ in lines]
    copy.join()
    assert copy.exitcode == 0
    return [*seconds, time.perf_counter() - start]


def run_ground(words, options, write):
    os.dup2(write, 1)
    sys.stdout = open(1, "w", buffering=1)  # noqa: SIM115  it is that of a whole process
    sys.argv = ["probe", "ground", *words, "--quiet", "--device", options.device]
    main()


def keys(numbers):
    """The names in nested numbers, leaving out how many of a kind there are."""
    if isinstance(numbers, dict):
        return {name: keys(value) for name, value in numbers.items()}
    if isinstance(numbers, list) and numbers and isinstance(numbers[0], dict):
        return [keys(numbers[0])]
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_measures_something_that_can_be_stored_and_shown(measured, name):
    numbers = measured(name)
    assert json.loads(json.dumps(numbers)) == numbers
    assert opened(name).show(numbers).count("\n") >= 2
    assert {"machine", "threads", "dtype", "versions"} <= numbers.keys()


@pytest.mark.slow
@pytest.mark.parametrize("stored", BENCHMARKS.glob("results/*.json"), ids=lambda path: path.stem)
def test_stored_results_have_the_shape_of_what_is_measured_and_can_be_shown(measured, stored):
    name = stored.stem.split("-")[0]
    numbers = json.loads(stored.read_text())
    assert keys(numbers) == keys(measured(name))
    assert opened(name).show(numbers)


@pytest.mark.slow
def test_every_alternative_costs_time_and_memory(measured):
    for one in measured("attention")["lengths"]:
        for alternative in ("rows", "plain", "eager"):
            assert min(one[alternative]["runs"]) > 0
            assert one[alternative]["peak_mib"] > 0


@pytest.mark.slow
def test_rows_of_the_engine_are_those_of_eager_attention(measured):
    lengths = measured("attention")["lengths"]
    assert len({one["tokens"] for one in lengths}) == len(lengths)
    assert all(one["difference"] <= tolerance(1) for one in lengths)


@pytest.mark.slow
def test_the_engines_gradients_are_those_of_the_naive_loop_at_every_layer(measured):
    numbers = measured("reattention")
    assert {one["layer"] for one in numbers["steps"]} == {
        round(numbers["decoder_layers"] * third / 3) for third in range(3)
    }
    assert {one["questions"] for one in numbers["steps"]} == {1, 2, 8}
    assert all(one["difference"] <= tolerance(1) for one in numbers["steps"])


@pytest.mark.slow
def test_the_grounder_and_the_reference_find_the_same_tube_in_the_same_maps(measured):
    for one in measured("ground")["configurations"].values():
        assert one["same_tube"]
        assert one["where_difference"] <= tolerance(1)
        assert one["when_difference"] <= tolerance(1)


def test_the_references_latent_prompts_and_both_orders_matter_to_its_maps(quick):
    ground, models = opened("ground"), opened("models")
    shape, video = models.shape_of(quick), make_clip(7).video(4)
    cells = models.open_video_lm(shape, quick).watch(video).grid.cells
    reference = ground.Reference(models.peer(shape, quick), video, cells, PAPER)
    question = "Is there a red circle in this video?"
    with reference.other.eager():
        plain = reference.maps(question, None)
        vectors = reference.learn(question, PAPER.learn_where)
        prompted = reference.maps(question, vectors)
        turned = replace(reference, backwards=True).maps(question, None)
    assert_differ_beyond_rounding(prompted, plain)
    assert_differ_beyond_rounding(turned.flip(1), plain)


def test_an_exponent_is_the_power_of_a_power_law():
    scale = opened("scale")
    sizes = (8, 16, 32, 64)
    assert scale.exponent(sizes, [3.0 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert scale.exponent(sizes, [7.0] * 4) == pytest.approx(0.0)


def test_peak_memory_is_the_most_that_is_held_at_once():
    comparison = opened("comparison")
    size = 2**20

    def step():
        first, second = torch.ones(4 * size), torch.ones(2 * size)
        del first
        third = torch.ones(size)
        return second, third

    held = torch.ones(size)
    assert comparison.peak_memory(step, torch.device("cpu")) == 6 * size * held.element_size()


@pytest.fixture(scope="module")
def small():
    """The small shape, its plain model and what arithmetic says of it in float32."""
    models = opened("models")
    shape = models.MODEL_SHAPES["small"]
    module = models.peer(shape, opened("comparison").BenchmarkOptions()).module
    return module, opened("paper_model").make_sizes(shape, number=4)


TOKENS = 48


def entered(module, *, learn=False):
    hidden = module.config.text_config.hidden_size
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, TOKENS, hidden, generator=generator).requires_grad_(learn)


def test_the_weights_of_the_paper_model_are_those_of_the_module(small):
    module, paper = small
    counted = sum(parameter.numel() for parameter in module.parameters()) * paper.number
    assert paper.weights == pytest.approx(counted, rel=0.02)


def test_the_memory_of_the_paper_model_is_what_the_module_remembers(small):
    module, paper = small
    cache = module.model.language_model(inputs_embeds=entered(module)).past_key_values
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert paper.keys_and_values(TOKENS) == kept


def test_the_flops_of_the_paper_model_are_those_that_torch_counts(small):
    module, paper = small
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        module.model.language_model(inputs_embeds=entered(module), use_cache=False)
    assert paper.read_flops(TOKENS) == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_the_vision_flops_of_the_paper_model_are_those_that_torch_counts(small):
    module, _ = small
    shape = opened("models").MODEL_SHAPES["small"]
    side = module.config.vision_config.image_size
    pictures = torch.zeros(1, 2, 3, side, side)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        module.model.get_video_features(pictures)
    found = opened("paper_model").compute_vision_flops(shape, frames=2)
    assert found == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.mark.parametrize("layer", [0, 5])
def test_the_graph_of_the_paper_model_is_what_torch_keeps_for_the_gradient(small, layer):
    module, paper = small
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    learned = entered(module, learn=True)
    hook = module.model.language_model.layers[layer].register_forward_pre_hook(
        lambda _, args: (args[0].detach() + learned,)
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module.model.language_model(inputs_embeds=entered(module), use_cache=False)
    hook.remove()
    total = sum(storage.nbytes() for storage in kept.values())
    assert paper.graph(TOKENS, layer) == pytest.approx(total, rel=0.1)
    assert math.isclose(
        paper.graph(TOKENS, layer) / paper.graph(TOKENS, 0), (paper.layers - layer) / 8
    )
