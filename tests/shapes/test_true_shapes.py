"""The models in their true shapes: proofs, and answers by cause and by the paper, in both types."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from probe.engine.conformance import check_model, eager_proof
from probe.engine.model import load
from probe.grounder import ground
from probe.video import Tube, Video
from shapes.published import SHAPES

pytestmark = [pytest.mark.shapes, pytest.mark.slow, pytest.mark.timeout(3600)]

TYPES = (torch.float32, torch.bfloat16)
QUERY = "the red circle that jumps"
CASES = tuple(
    pytest.param((shape, dtype), id=f"{shape.name.split('/')[1]}-{str(dtype).split('.')[1]}")
    for shape in SHAPES
    for dtype in TYPES
)


@pytest.fixture(scope="module", params=CASES)
def shown(request):
    """One model in one type, with the clip that it is shown; let go before the next is made."""
    shape, dtype = request.param
    module, processor = shape.build(dtype)
    case = SimpleNamespace(
        model=load(module, processor=processor), video=draw(shape, shape.frames), shape=shape
    )
    del module
    yield case
    # Handles of nnsight refer to each other, and the collector would come when it likes.
    case.model = None
    gc.collect()


def draw(shape, frames):
    """Draw a clip of coloured tiles, every second frame of a source twice as long."""
    height, width = shape.size
    tiles = np.random.default_rng(0).integers(
        0, 256, (frames, height // 16, width // 16, 3), dtype=np.uint8
    )
    pictures = tiles.repeat(16, axis=1).repeat(16, axis=2)
    return Video(pictures, tuple(range(0, 2 * frames, 2)), np.arange(2 * frames) / 4)


def tracks(video):
    """Two candidates, which lie in the left and in the right half of every frame."""
    height, width = video.size
    return [
        Tube(video.indices, [[left, height / 4, left + width / 4, height / 2]] * len(video))
        for left in (width / 8, width * 5 / 8)
    ]


def test_every_proof_holds(shown):
    report = check_model(shown.model, shown.video)
    assert report.passed, [proof.found for proof in report.proofs if not proof.passed]
    assert len(report.proofs) == 5


def test_rows_equal_eager_attention_where_a_window_holds_less_than_the_clip(shown):
    if shown.shape.frames_beyond is None:
        pytest.skip("no layer of it slides")
    view = shown.model.watch(draw(shown.shape, shown.shape.frames_beyond))
    window = shown.model.checkpoint.config.get_text_config().sliding_window
    assert len(view.prefix) > window
    proof = eager_proof(shown.model, view)
    assert proof.passed, proof.found


@pytest.mark.parametrize("preset", ["causal", "paper"])
def test_a_query_is_answered_by_a_tube_of_the_clip(shown, preset):
    video, candidates = shown.video, tracks(shown.video)
    answer = ground(shown.model, video, QUERY, candidates, config=preset)
    assert any(answer.track is track for track in candidates)
    assert 0 <= answer.span.start < answer.span.stop <= video.source_length
    assert answer.tube.frames.tolist() == list(range(answer.span.start, answer.span.stop))
    height, width = video.size
    assert (answer.tube.boxes >= 0).all()
    assert (answer.tube.boxes <= [width, height, width, height]).all()
    # Random weights do not choose well, but they tell two places apart, where three digits do not
    # make them one.
    assert len(set(answer.scores)) == len(candidates) or answer.model["dtype"] == "bfloat16"
    assert answer.presence is not None
    assert np.isfinite([*answer.scores, answer.presence]).all()
    for values in (answer.frame_scores, answer.where.heatmap.values, answer.when.heatmap.values):
        assert values.isfinite().all()
        assert values.max() > values.min()
