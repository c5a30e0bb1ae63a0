"""A picture is answered by a box: found by all of the query, with presence and doubts, no time."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from zoo import save_tiny

from probe.engine.model import load
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.presets import CAUSAL, PLAIN, PRESETS
from probe.grounding.queries import as_question, decompose, find_noun
from probe.grounding.targets import NearBest
from probe.organism.world import make_clip
from probe.video import Span, Tube, box_iou, read_image, read_video

FRAME = 0
"""Number of the sampled frame that is taken for a picture: nothing has begun to act yet."""

TIMED = ("span", "when", "frame_scores")


def picture_of(clip):
    return read_image(clip.video().frames[FRAME])


def name(thing):
    return f"the {thing.colour} {thing.shape}"


def only_things(clip):
    """The things that their colour and shape tell from the others of the clip."""
    names = [name(thing) for thing in clip.things]
    return [thing for thing in clip.things if names.count(name(thing)) == 1]


@pytest.fixture(scope="module")
def answer(organism, clip):
    return ground(organism, picture_of(clip), clip.things[0].query)


def test_the_box_of_a_picture_is_around_the_thing_that_is_asked_for(organism):
    hits = []
    for seed in range(3):
        clip = make_clip(seed)
        for thing in only_things(clip):
            found = ground(organism, picture_of(clip), name(thing))
            truth = thing.track().interpolated([clip.video().indices[FRAME]])
            hits.append(box_iou(found.tube.boxes, truth.boxes)[0] > 0.5)
    assert len(hits) >= 6
    assert np.mean(hits) >= 0.75


def test_an_answer_to_a_picture_says_nothing_of_time(answer):
    assert (len(answer.tube), answer.span) == (1, Span(0, 1))
    record = answer.to_dict()
    assert not set(TIMED) & set(record)
    assert record["tube"]["frames"] == [0]
    assert re.fullmatch(
        r"Answer\(.*: box \d+ \d+ \d+ \d+, one of \d+ boxes; organism\)", repr(answer)
    )
    texts = [
        text.get_text() for text in answer.plot().findobj(lambda part: hasattr(part, "get_text"))
    ]
    assert any(text.startswith("where: ") for text in texts)
    assert not [text for text in texts if re.search(r"^when|second|span|frame|\d s\b", text)]
    assert not re.search(r"\d s\b", answer._repr_html_().split("base64")[0])


def test_a_saved_answer_to_a_picture_is_loaded_again(answer, clip, tmp_path, organism):
    Image.fromarray(picture_of(clip).frames[0]).save(tmp_path / "photo.png")
    found = ground(organism, tmp_path / "photo.png", clip.things[0].query)
    found.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json")
    assert loaded == found
    assert loaded.span == Span(0, 1)
    assert loaded.when == loaded.where
    assert loaded.tube == answer.tube


def test_a_video_whose_answer_lost_its_span_is_refused(organism, video, clip, tmp_path):
    record = ground(organism, video, clip.things[0].query).to_dict()
    del record["span"]
    (tmp_path / "answer.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"answer.json"):
        Answer.load(tmp_path / "answer.json", video)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_answers_a_picture_by_the_whole_query(organism, clip, preset):
    query = clip.things[0].query
    found = ground(organism, picture_of(clip), query, config=preset)
    assert found.where.question == as_question(query)
    assert found.when is found.where
    assert len(found.frame_scores) == 0
    assert found.where.consistency is None


def test_given_boxes_are_the_candidates_of_a_picture(organism, clip):
    boxes = [Tube(0, [0, 0, 20, 20], "left"), Tube(0, [30, 30, 50, 50], "right")]
    found = ground(organism, picture_of(clip), clip.things[0].query, boxes)
    assert found.candidates == tuple(boxes)
    assert found.track in boxes


def test_a_query_without_an_action_is_no_doubt_of_a_picture(organism, video, clip):
    split = "the query could not be split"
    query = name(clip.things[0])
    assert decompose(query).fallbacks == ("action",)
    asked = [ground(organism, seen, query).doubts for seen in (picture_of(clip), video)]
    assert [any(doubt.startswith(split) for doubt in doubts) for doubts in asked] == [False, True]


def test_proposed_boxes_of_a_photo_are_a_doubt_and_given_ones_are_not(organism, clip):
    blocks = np.random.default_rng(0).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    photo = read_image(blocks.repeat(8, 0).repeat(8, 1))
    said = "give the boxes of a detector"
    query = clip.things[0].query
    assert any(said in doubt for doubt in ground(organism, photo, query).doubts)
    given = ground(organism, photo, query, Tube(0, [0, 0, 9, 9]))
    assert not any(said in doubt for doubt in given.doubts)
    plain = ground(organism, picture_of(clip), query)
    assert not any(said in doubt for doubt in plain.doubts)


def test_one_frame_of_a_video_is_answered_in_that_frame_alone(organism, clip, tmp_path):
    clip.write(tmp_path / "clip.mp4", scale=1)
    single = read_video(tmp_path / "clip.mp4", 1)
    found = ground(organism, single, clip.things[0].query)
    (index,) = single.indices
    assert found.tube.frames.tolist() == [index]
    found.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json") == found


@pytest.mark.slow
@pytest.mark.parametrize("family", ["smolvlm", "idefics3"])
@pytest.mark.parametrize("config", [CAUSAL, PLAIN], ids=["causal", "plain"])
def test_a_model_of_pictures_is_asked_about_an_image(family, config, clip, tmp_path):
    save_tiny(family, tmp_path)
    found = ground(
        load(tmp_path, dtype="float32"), picture_of(clip), "the red circle", config=config
    )
    assert found.where.question == "Is there the red circle in this image?"
    assert found.config.generic == "Describe this image in details."
    assert replace(found.config, generic=config.generic) == config
    assert found.presence is not None


def test_questions_name_what_is_shown_and_are_read_back():
    asked = as_question("the red car", "image")
    assert asked == "Is there the red car in this image?"
    assert as_question(asked, "image") == asked
    assert find_noun(asked) == "car"
    assert as_question("the man in this photo") == "Is there the man in this video?"
    # A picture may be in the video, too.
    assert "in the picture in" in as_question("the man in the picture")


@pytest.mark.slow
def test_tiles_of_a_picture_are_a_doubt(clip, tmp_path):
    said = "shown the picture a second time"
    for family in ("llava", "llava_next"):
        save_tiny(family, tmp_path / family)
        found = ground(load(tmp_path / family), picture_of(clip), "the red circle", config=PLAIN)
        assert any(said in doubt for doubt in found.doubts) == (family == "llava_next")


def test_all_that_is_meant_in_a_picture_has_boxes_and_no_span(organism, clip, tmp_path):
    Image.fromarray(picture_of(clip).frames[0]).save(tmp_path / "photo.png")
    config = replace(CAUSAL, targets=NearBest(share=0.01))
    found = ground(organism, tmp_path / "photo.png", "the shape", config=config)
    record = found.to_dict()
    assert len(record["targets"]) == len(found.targets) > 0
    assert all({"tube", "candidate", "score"} == target.keys() for target in record["targets"])
    found.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json")
    assert loaded == found
    assert [one.span for one in loaded.targets] == [Span(0, 1)] * len(found.targets)
