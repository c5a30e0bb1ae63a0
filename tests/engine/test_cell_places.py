"""Places of cells in the positional encoding: counted, told by check-model, and a doubt."""

import json

import numpy as np
import pytest
from zoo import moving, save_tiny

from probe.engine.cell_places import count_places
from probe.engine.conformance import check_model
from probe.engine.model import load
from probe.grounder import ground
from probe.video import Tube, Video

pytestmark = pytest.mark.slow  # tiny checkpoints are written and opened


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """A tiny Qwen2.5-VL with two positions a second, as the published ones have."""
    folder = tmp_path_factory.mktemp("places") / "qwen2_5_vl"
    save_tiny("qwen2_5_vl", folder)
    return load(folder, dtype="float32")


def lasting(seconds, frames=10):
    """Frames of noise, evenly over some seconds."""
    return Video(moving(frames).frames, tuple(range(frames)), np.arange(frames) * seconds / frames)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.6, 2.5, 5.0, 30.0])
def test_frames_that_are_closer_than_half_a_second_share_a_place(qwen, seconds):
    # Five map frames, each at the whole half seconds that have passed.
    apart = len({int(2 * seconds / 5 * frame + 1e-6) for frame in range(5)})
    places = count_places(qwen.watch(lasting(seconds)))
    assert (places.frames, places.moments) == (5, apart)
    assert (places.cells, places.distinct) == (5 * 15, apart * 15)


def test_positions_along_one_axis_are_all_distinct(tiny, video):
    places = count_places(tiny.watch(video))
    assert (places.moments, places.distinct) == (places.frames, places.cells)


def test_a_doubt_says_that_frames_share_their_time(qwen):
    track = Tube(np.arange(10), np.tile([4.0, 4.0, 30.0, 30.0], (10, 1)))
    short, long = (ground(qwen, lasting(s), "the red circle", [track]).doubts for s in (0.5, 30.0))
    assert [doubt for doubt in short if "in time for the" in doubt] == [
        "the model has one place in time for the 5 frames of its map: it cannot tell by their time "
        "those that share one"
    ]
    assert not [doubt for doubt in long if "in time for the" in doubt]


def test_check_model_tells_how_many_positions_there_are(qwen, command):
    short = check_model(qwen, lasting(0.5))
    assert short.passed
    assert str(short.places) == "15 distinct positions of 75 cells: 5 map frames share one time"
    assert short.to_dict()["positions"]["moments"] == 1
    _, told, _ = command("check-model", "organism")
    (line,) = [line for line in told.splitlines() if line.startswith("note   positions ")]
    _, told, _ = command("check-model", "organism", "--json")
    places = json.loads(told)["positions"]
    assert places["distinct"] == places["cells"] > 0
    assert line.endswith(
        f"{places['cells']} of {places['cells']} cells have a position of their own"
    )
