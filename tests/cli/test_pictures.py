"""Pictures on the command line: a file in, a box out, and no word of time."""

import json
import re

import pytest
from PIL import Image
from zoo import save_tiny

from probe.candidates.tracks import save_tracks
from probe.organism.world import make_clip
from probe.video import Tube, box_iou, read_image

pytestmark = pytest.mark.slow  # each runs a command


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A picture of a clip with what its things are called and the box of one of them."""
    clip = make_clip(6)
    thing, video = clip.things[0], clip.video()
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    Image.fromarray(video.frames[0]).resize((224, 224), Image.Resampling.NEAREST).save(path)
    box = thing.track().interpolated([video.indices[0]]).boxes * 4
    return path, f"the {thing.colour} {thing.shape}", box


def test_a_picture_gives_a_box(photo, command, tmp_path):
    path, query, truth = photo
    code, out, err = command("ground", path, query, "--out", tmp_path, "--quiet")
    assert (code, err) == (0, "")
    (corners,) = re.findall(r"x1 y1 x2 y2 = +(\S+) +(\S+) +(\S+) +(\S+)", out)
    assert box_iou(truth, truth * 0 + [float(edge) for edge in corners])[0] > 0.5
    # The file may have any name; all other lines are ours.
    assert not re.search(r"^when|frame|\d s\b|span", out.replace(str(tmp_path), ""), re.M)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "answer.json",
        "answer.png",
        "overlay.png",
    ]
    assert read_image(tmp_path / "overlay.png").size[0] > 448


def test_the_json_of_a_picture_has_no_span(photo, command, tmp_path):
    path, query, _ = photo
    code, out, _ = command("ground", path, query, "--out", tmp_path, "--json", "--quiet")
    assert code == 0
    record = json.loads(out)
    assert not {"span", "when", "frame_scores"} & record.keys()
    assert record == json.loads((tmp_path / "answer.json").read_text())
    assert len(record["tube"]["boxes"]) == 1


def test_answers_of_both_kinds_leave_no_overlay_of_the_other(photo, command, tmp_path):
    path, query, _ = photo
    clip = tmp_path / "clip.mp4"
    make_clip(6).write(clip, scale=1)
    out = tmp_path / "out"
    for source, kept, gone in (
        (clip, "answer.mp4", "overlay.png"),
        (path, "overlay.png", "answer.mp4"),
    ):
        assert command("ground", source, query, "--out", out, "--quiet")[0] == 0
        assert (out / kept).exists()
        assert not (out / gone).exists()
    code, _, _ = command("ground", path, query, "--out", out, "--quiet", "--require-presence", "99")
    assert code == 3
    assert [file.name for file in out.iterdir()] == ["answer.json"]


def test_tokens_and_the_page_take_a_picture(photo, command, tmp_path):
    path, query, _ = photo
    question = f"Is there {query} in this video?"
    code, out, _ = command("tokens", path, question, "--out", tmp_path / "tokens", "--quiet")
    assert code == 0
    assert "grounding token" in out
    html = tmp_path / "page.html"
    assert command("view", path, question, "--html", html, "--quiet")[0] == 0
    assert html.stat().st_size > 10_000
    command("ground", path, query, "--out", tmp_path / "answer", "--quiet")
    assert command("view", tmp_path / "answer", "--html", html, "--quiet")[0] == 0


def test_a_model_of_pictures_refuses_a_video_and_takes_one_frame_of_it(command, tmp_path):
    save_tiny("idefics3", tmp_path / "model")
    make_clip(6).write(tmp_path / "clip.mp4", scale=1)
    asked = ("ground", tmp_path / "clip.mp4", "the red circle", "--model", tmp_path / "model")
    common = ("--out", tmp_path / "out", "--quiet")
    code, _, err = command(*asked, *common)
    assert code == 2
    (said,) = [line for line in err.splitlines() if line.startswith("probe: ")]
    assert "idefics3 models are shown one picture at a time" in said
    assert "--frames 1" in said
    code, out, _ = command(*asked, *common, "--frames", "1")
    assert code == 0
    assert "when " not in out


def test_boxes_of_a_file_are_the_candidates_of_a_picture(photo, command, tmp_path):
    path, query, truth = photo
    boxes = [Tube(0, truth, "right"), Tube(0, truth[:, ::-1] * 0 + [90, 90, 120, 120], "wrong")]
    save_tracks(boxes, read_image(path), tmp_path / "boxes.json")
    words = ("ground", path, query, "--tracks", tmp_path / "boxes.json", "--out", tmp_path / "out")
    code, out, _ = command(*words, "--quiet")
    assert code == 0
    assert "candidate 1 of 2 (right)" in out
