"""Finders: each type gives the boxes that its model computes, in pixels, for what it is asked."""

import numpy as np
import pytest
import torch
from tiny_detectors import CLASSES, SAVE_FINDERS
from tolerances import assert_equal_up_to_rounding

from probe.candidates.detections import DetectionConfig
from probe.candidates.finders import FINDERS, check_phrases, open_finder
from probe.organism.world import make_clip

LOW = DetectionConfig(box_threshold=0.01, text_threshold=0.0)
"""Thresholds that boxes of random weights pass."""

OPEN_SETS = ("grounding-dino", "mm-grounding-dino", "owlv2", "omdet-turbo")
CLOSED_SETS = ("rf_detr", "d_fine")


@pytest.fixture(scope="module")
def finders(tmp_path_factory):
    """One finder of each type, of random weights, opened from its folder."""
    folder = tmp_path_factory.mktemp("finders")
    for name, save in SAVE_FINDERS.items():
        save(folder / name)
    return {
        name: open_finder(str(folder / name), device="cpu", dtype="auto") for name in SAVE_FINDERS
    }


@pytest.fixture(scope="module")
def picture():
    """A picture that is not square."""
    return make_clip(7).frame(0)[:40]


def plain(found):
    return [(*one.box.tolist(), one.score) for one in found]


def test_there_is_a_test_model_of_every_type():
    assert {*SAVE_FINDERS} == {*FINDERS} == {*OPEN_SETS, *CLOSED_SETS}


def compute_raw(finder, picture, phrase):
    """Scores and boxes (middle and sides, as shares of the picture) as the model gives them."""
    opened = finder.opened
    texts = {"owlv2": [[phrase]], "omdet-turbo": [phrase]}
    text = texts.get(opened.model.config.model_type, f"{phrase}.")
    words = {} if opened.model.config.model_type in CLOSED_SETS else {"text": text}
    outputs = opened.model(**opened.processor(images=picture, return_tensors="pt", **words))
    if opened.model.config.model_type == "omdet-turbo":
        return outputs.decoder_class_logits[0].sigmoid(), outputs.decoder_coord_logits[0]
    return outputs.logits[0].sigmoid(), outputs.pred_boxes[0]


@torch.inference_mode()
@pytest.mark.parametrize("name", OPEN_SETS)
def test_an_open_set_finds_what_its_model_scores_above_the_threshold(finders, picture, name):
    height, width = picture.shape[:2]
    scores, boxes = compute_raw(finders[name], picture, "circle")
    # The picture is filled up to a square for OWLv2, and stretched for all others.
    unit = torch.tensor([max(height, width)] * 2 if name == "owlv2" else [width, height])
    middle, sides = (boxes[:, :2] * unit), (boxes[:, 2:] * unit)
    corners = torch.cat([middle - sides / 2, middle + sides / 2], 1).numpy()
    limits = np.array([width, height, width, height])
    expected = [
        (box, score)
        for box, score in zip(np.clip(corners, 0, limits), scores.amax(-1).tolist(), strict=True)
        if score > LOW.box_threshold and (box[2:] > box[:2]).all()
    ]
    found = finders[name].find(picture, "circle", LOW)
    assert len(found) == len(expected) > 1
    for one, (box, score) in zip(found, expected, strict=True):
        assert_equal_up_to_rounding(one.box, box, scale=limits)
        assert_equal_up_to_rounding(np.array(one.score), np.array(score), scale=1)
        assert one.label == "circle"


@torch.inference_mode()
@pytest.mark.parametrize("name", CLOSED_SETS)
def test_a_closed_set_finds_the_boxes_of_the_class(finders, picture, name):
    height, width = picture.shape[:2]
    scores, boxes = compute_raw(finders[name], picture, "")
    best = scores.flatten().topk(len(boxes))  # as many pairs of box and class as there are boxes
    pairs = [divmod(place, len(CLASSES)) for place in best.indices.tolist()]
    found = {
        phrase.lower(): finders[name].find(picture, phrase.lower(), LOW)
        for phrase in CLASSES.values()
    }
    assert sum(map(len, found.values())) == len(pairs)
    assert len({label for _, label in pairs}) > 1
    for number, phrase in CLASSES.items():
        own = [box for box, label in pairs if label == number]
        if not own:
            assert not found[phrase.lower()]
            continue
        x, y, w, h = (boxes[own] * torch.tensor([width, height, width, height])).T.numpy()
        corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
        limits = np.array([width, height, width, height])
        drawn = np.array([one.box for one in found[phrase.lower()]]).reshape(-1, 4)
        assert_equal_up_to_rounding(drawn, np.clip(corners, 0, limits), scale=limits)
        assert {one.label for one in found[phrase.lower()]} <= {phrase.lower()}


@pytest.mark.parametrize("name", [*OPEN_SETS, *CLOSED_SETS])
def test_another_phrase_gives_other_scores_and_the_same_phrase_the_same(finders, picture, name):
    finder = finders[name]
    found = plain(finder.find(picture, "circle", LOW))
    assert found == plain(finder.find(picture, "circle", LOW))
    assert found != plain(finder.find(picture, "square", LOW))


@pytest.mark.parametrize("name", [*OPEN_SETS, *CLOSED_SETS])
def test_a_type_has_a_threshold_of_its_own_where_none_is_given(finders, picture, name):
    usual = FINDERS[name].threshold
    low, own, given = (
        plain(finders[name].find(picture, "circle", DetectionConfig(threshold, 0.0)))
        for threshold in (0.0, None, usual)
    )
    assert own == given == [one for one in low if one[-1] > usual]


def test_a_phrase_that_is_no_class_is_refused_with_the_classes(finders):
    for name in CLOSED_SETS:
        with pytest.raises(ValueError, match="knows no class 'circles'") as refused:
            check_phrases(finders[name], ["person", "circles"])
        message = str(refused.value)
        assert message.endswith("did you mean 'circle'? it knows person, circle, square")
        assert "\n" not in message
        check_phrases(finders[name], ["person", "square"])


@pytest.mark.parametrize("name", OPEN_SETS)
def test_a_phrase_longer_than_the_model_reads_is_refused(finders, picture, name):
    finder = finders[name]
    with pytest.raises(ValueError, match=r"has \d+ tokens, .* reads \d+; name the thing in fewer"):
        check_phrases(finder, ["dog " * 40])
    # The longest that passes is one that the model can be asked.
    count = next(n for n in range(40, 0, -1) if passes(finder, " ".join(["dog"] * n)))
    finder.find(picture, " ".join(["dog"] * count), LOW)


def passes(finder, phrase):
    try:
        check_phrases(finder, [phrase])
    except ValueError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", SAVE_FINDERS)
def test_half_precision_finds_in_pixels_too(finders, picture, name):
    half = open_finder(finders[name].opened.name, device="cpu", dtype="bfloat16")
    found = [one for phrase in CLASSES.values() for one in half.find(picture, phrase.lower(), LOW)]
    assert found
    assert all((one.box <= [picture.shape[1], picture.shape[0]] * 2).all() for one in found)
