"""A data set of pictures: boxes are scored, and no figure speaks of time."""

import json

import pytest
from PIL import Image

from probe.datasets import check_samples, load_dataset
from probe.metrics import Known
from probe.organism.world import make_clip

FORMS = {"time": "frames", "box": "xyxy", "unit": "pixels"}


@pytest.fixture
def pictured(tmp_path):
    """A line about a picture of one clip, with its box and more; give the data set."""
    clip = make_clip(0)
    thing, video = clip.things[0], clip.video()
    Image.fromarray(video.frames[0]).save(tmp_path / "photo.png")
    box = thing.track().interpolated([video.indices[0]]).boxes[0].round(2).tolist()
    asked = {"video": "photo.png", "query": f"the {thing.colour} {thing.shape}"}

    def write(**more):
        line = {**asked, **FORMS, "boxes": {"0": box}, **more}
        (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
        return load_dataset(tmp_path / "mine.jsonl"), box

    return write


def test_the_box_of_a_picture_is_its_truth(pictured):
    dataset, box = pictured()
    sample = dataset[0].settle(dataset[0].recording.read(20))
    assert sample.known == Known(time=False, place=True)
    assert sample.boxes.frames.tolist() == [0]
    assert sample.boxes.boxes.tolist() == [box]


def test_a_span_of_a_picture_is_refused_with_the_remedy(pictured):
    dataset, _ = pictured(span=[0, 1])
    (finding,) = [found for found in check_samples(dataset) if found is not None]
    assert finding.fatal
    assert "a picture has no time to be scored; leave out the span" in finding.text


@pytest.mark.slow
def test_no_figure_of_pictures_speaks_of_time(pictured, tmp_path, command):
    pictured()
    code, out, _ = command(
        "evaluate", tmp_path / "mine.jsonl", "--out", tmp_path / "run", "--quiet"
    )
    assert code == 0
    rows = dict(line.split()[1:3] for line in out.splitlines() if line.startswith("all"))
    assert rows["m_tiou"] == rows["m_viou"] == "-"
    assert float(rows["m_gt_viou"]) > 50
