"""A model is shown as many frames as its processor would sample, unless somebody asks."""

import json

import numpy as np
import pytest
from transformers.video_utils import VideoMetadata
from zoo import save_tiny
from zoo.parts import hf

from probe.engine.model import load
from probe.engine.processors import check_processor, choose_frames
from probe.video import FrameRate, read_video
from probe.video.encoding import write_video
from probe.video.frame_rate import MOST_UNASKED

SMOLVLM2 = {"max_frames": 64, "fps": 1, "video_size": {"longest_edge": 512}}
"""`video_sampling` in the files of SmolVLM2-2.2B-Instruct."""


def metadata(seconds, rate=25):
    count = round(seconds * rate)
    return VideoMetadata(total_num_frames=count, fps=rate, duration=count / rate)


def count_by_rate(settings, seconds):
    found = choose_frames(settings, 20)
    assert isinstance(found, FrameRate)
    return found.count(seconds)


@pytest.mark.parametrize("seconds", [0.4, 1, 5, 12.3, 30, 63, 64, 90, 600])
def test_smolvlm_is_shown_as_many_frames_as_its_processor_samples(seconds):
    settings = hf.SmolVLMVideoProcessor(video_sampling=dict(SMOLVLM2))
    expected = len(settings.sample_frames(metadata(seconds)))
    assert count_by_rate(settings, metadata(seconds).duration) == expected


@pytest.mark.parametrize("seconds", [1.0, 5.0, 12.0, 30.0, 60.0])
def test_qwen3_is_shown_as_many_frames_as_its_processor_samples(seconds):
    settings = hf.Qwen3VLVideoProcessor()
    expected = len(settings.sample_frames(metadata(seconds)))
    assert count_by_rate(settings, seconds) == expected


def test_nobody_is_shown_hundreds_of_frames_unasked():
    assert count_by_rate(hf.Qwen3VLVideoProcessor(), 3600.0) == MOST_UNASKED


def test_a_number_without_a_rate_and_nothing_at_all_stay_as_they_were():
    assert choose_frames(hf.Gemma4VideoProcessor(), 20) == 32
    assert choose_frames(hf.LlavaOnevisionVideoProcessor(), 20) == 20


@pytest.fixture(scope="module")
def smolvlm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preferred") / "smolvlm"
    save_tiny("smolvlm", folder)
    return folder


@pytest.fixture
def short(tmp_path):
    """A file of three seconds."""
    pictures = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "short.mp4", iter(pictures), 10)
    return tmp_path / "short.mp4"


@pytest.mark.slow
def test_whoever_shows_a_model_a_file_samples_it_alike(smolvlm, short, tmp_path, command):
    model = load(smolvlm)
    assert model.preferred_frames == FrameRate(1, most=6)
    assert len(model.watch(short).video) == 3
    assert len(read_video(short, model.preferred_frames)) == 3
    options = ("--model", smolvlm, "--out", tmp_path / "out", "--quiet")
    code, *_ = command("tokens", short, "What jumps?", *options)
    assert code == 0
    code, *_ = command("ground", short, "the red circle", *options)
    assert code == 0
    record = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert len(record["video"]["sampled_frames"]) == 3
    code, *_ = command("ground", short, "the red circle", *options, "--frames", 5)
    record = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert len(record["video"]["sampled_frames"]) == 5


@pytest.mark.slow
def test_a_run_is_sampled_at_the_rate_and_says_so(smolvlm, tmp_path, command):
    options = ("--model", smolvlm, "--method", "lens", "--limit", 1, "--out", tmp_path / "run")
    code, *_ = command("evaluate", "shapes-val", *options, "--quiet")
    assert code == 0
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["frames"]["per_second"] == 1


@pytest.mark.parametrize("rate", [0, -2, True, "often", float("inf"), 10**9])
def test_a_rate_beyond_all_sense_is_refused(tiny, rate):
    checkpoint = tiny.checkpoint
    settings = hf.LlavaNextVideoVideoProcessor(fps=rate)
    processor = hf.LlavaNextVideoProcessor(
        video_processor=settings,
        image_processor=checkpoint.processor.image_processor,
        tokenizer=checkpoint.processor.tokenizer,
    )
    with pytest.raises(ValueError, match=r"samples .* frames a second, not a number up to 1000"):
        check_processor("x", processor, checkpoint.config, checkpoint.family)
