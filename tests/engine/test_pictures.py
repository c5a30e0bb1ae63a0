"""Pictures: models that are shown one, models that also read videos, and what they must refuse."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from documented import documented_ids, leave_one_pair
from tolerances import assert_equal_up_to_rounding, tolerance
from zoo import PICTURE_ZOO, moving, save_tiny
from zoo.pictures import still

from probe.engine.conformance import PROOFS, check_model, mosaic
from probe.engine.decoder import Decoder
from probe.engine.families import FAMILIES, PICTURES, Family
from probe.engine.grids import VisualGrid
from probe.engine.media import name_medium
from probe.engine.model import load
from probe.video import read_image

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION = "Is there a red circle in this image?"
ALONE = tuple(name for name in PICTURES if name not in FAMILIES)


KINDS = ("llava", "padded_llava", "llava_next", "idefics3", "smolvlm", "internvl", "qwen3_vl")
"""One family of each way in which a picture becomes cells."""


def open_tiny(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / family
    save_tiny(family, folder)
    return load(folder, dtype="float32")


@pytest.fixture(scope="module", params=PICTURE_ZOO)
def any_model(request, tmp_path_factory):
    """A tiny checkpoint of one family that reads pictures, opened like any other."""
    return open_tiny(request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    """A tiny checkpoint of one kind of family."""
    return open_tiny(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def view(model):
    return model.watch(still())


def as_pictures(model, **changes):
    """Return the same model with its entry for pictures, changed in one way."""
    checkpoint = model.checkpoint.for_video(still())
    entry = Family(**{**vars(checkpoint.family), **changes})
    return replace(model, decoder=Decoder(replace(checkpoint, family=entry)))


@dataclass(frozen=True)
class Wrong(Family):
    """An entry whose grid is not what it says."""

    fault: Callable[[VisualGrid], VisualGrid] = lambda grid: grid

    def grid(self, config, processor, video, inputs):
        return self.fault(super().grid(config, processor, video, inputs))


def transposed(grid):
    """Columns are taken for rows."""
    _, rows, columns = grid.shape
    return VisualGrid(grid.positions.unflatten(0, (columns, rows)).mT.flatten(), grid.cells)


def late(grid):
    """Each token is taken for the cell before its own."""
    return VisualGrid(grid.positions.roll(-1), grid.cells)


def mirrored(grid):
    """Left is taken for right."""
    return VisualGrid(
        grid.positions.unflatten(0, (-1, grid.shape[2])).flip(1).flatten(), grid.cells
    )


def test_our_input_of_a_picture_is_the_documented_one_token_for_token(any_model):
    checkpoint = any_model.checkpoint.for_video(still())
    inputs = checkpoint.process(still(), checkpoint.writer(before=0).text(QUESTION))
    theirs = documented_ids(checkpoint, still(), QUESTION)
    assert inputs["input_ids"][0].tolist() == leave_one_pair(checkpoint, theirs)


def test_every_family_that_reads_pictures_is_proved_on_one(any_model):
    report = check_model(any_model, mosaic(1))
    assert report.passed, report.to_frame().to_string()
    assert [proof.name for proof in report.proofs] == ["grid", *PROOFS]
    grid, sums, painted, cut, eager = (proof.numbers for proof in report.proofs)
    assert grid["tokens"] == grid["cells"]
    assert sums["error"] <= tolerance(1)
    assert painted["hits"] == 1.0
    assert cut["moved"] > 0.1
    assert eager["error"] <= tolerance(1)


@pytest.mark.parametrize("fault", [transposed, late, mirrored])
def test_a_wrong_grid_of_a_picture_fails_through_the_painted_cells(model, fault):
    checkpoint = model.checkpoint.for_video(still())
    wrong = Wrong(**{**vars(checkpoint.family), "fault": fault})
    untrue = replace(model, decoder=Decoder(replace(checkpoint, family=wrong)))
    report = check_model(untrue, mosaic(1))
    assert "painted cells" in [proof.name for proof in report.proofs if not proof.passed]


@pytest.mark.parametrize("changes", [{"heading": 2}, {"trailing": 2}])
def test_a_wrong_count_of_a_picture_fails_at_once(model, changes):
    report = check_model(as_pictures(model, **changes), mosaic(1))
    assert "visual tokens cannot tile" in report.proofs[0].found


def test_questions_about_a_picture_are_written_as_the_processor_writes_them(view):
    checkpoint = view.checkpoint
    inputs = checkpoint.process(still(), checkpoint.writer(before=0).text(QUESTION))
    ids = inputs["input_ids"][0]
    (marked,) = torch.nonzero(ids == checkpoint.placeholder, as_tuple=True)
    after = ids[int(marked[-1]) + 1 :].tolist()
    assert list(view.writer.write(QUESTION).ids) == after
    assert len(view.prefix) == len(ids) - len(after)
    assert not any(name.startswith("pixel_values_videos") for name in inputs)


def test_the_whole_prompt_is_that_of_the_documented_usage(any_model):
    checkpoint = any_model.checkpoint.for_video(still())
    processor = checkpoint.processor
    message = {
        "role": "user",
        "content": [
            {"type": "image", "image": still().frames[0]},
            {"type": "text", "text": QUESTION},
        ],
    }
    documented = processor.apply_chat_template(
        [message],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs=dict(checkpoint.family.processing),
    )
    ours = checkpoint.process(still(), checkpoint.writer(before=0).text(QUESTION))
    assert ours["input_ids"].tolist() == documented["input_ids"].tolist()
    assert torch.equal(ours["pixel_values"], documented["pixel_values"])


def test_answers_about_a_picture_equal_those_of_a_plain_pass(view):
    checkpoint = view.checkpoint
    inputs = checkpoint.process(still(), checkpoint.writer(before=0).text(QUESTION))
    with torch.no_grad():
        expected = checkpoint.module(**inputs).logits[0, -1]
    assert_equal_up_to_rounding(view.read(QUESTION)[0].logits, expected)


def test_cells_tile_what_the_processor_leaves_of_the_picture(request, view):
    name = request.node.callspec.params["model"]
    regions = {"llava": (16.0, 0.0, 64.0, 48.0), "padded_llava": (0.0, -16.0, 80.0, 64.0)}
    assert view.grid.cells.region == regions.get(name, (0.0, 0.0, 80.0, 48.0))
    assert view.grid.cells.frames == ((0,),)


@pytest.mark.parametrize("size", [(48, 80), (80, 48), (60, 60), (37, 91), (200, 40)])
def test_pictures_of_any_shape_have_as_many_tokens_as_cells_and_tiles(model, size):
    assert len(model.watch(still(size)).grid) > 0


def test_a_picture_reversed_is_itself(view):
    (reading,), (again,) = view.read(QUESTION), view.reversed().read(QUESTION)
    assert torch.equal(reading.attention, again.attention)


@pytest.mark.parametrize("family", ALONE)
def test_a_family_of_pictures_refuses_a_video_with_the_remedy(family, tmp_path):
    save_tiny(family, tmp_path)
    model = load(tmp_path)
    said = rf"^{family} models are shown one picture at a time, and this video has 5 frames; .*"
    with pytest.raises(ValueError, match=said + r"--frames 1"):
        model.watch(moving())
    assert len(model.watch(replace(moving(), frames=moving().frames[:1], indices=(4,))).grid)


@pytest.mark.parametrize("family", ["smolvlm", "internvl", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_one_checkpoint_reads_videos_and_pictures(family, tmp_path):
    save_tiny(family, tmp_path)
    model = load(tmp_path, dtype="float32")
    video, picture = model.watch(moving()), model.watch(still())
    assert (video.checkpoint.medium, picture.checkpoint.medium) == ("video", "image")
    assert video.decoder.handle is picture.decoder.handle
    # Neither way to look disturbs the other.
    (before,) = video.read(QUESTION)
    picture.read(QUESTION)
    assert torch.equal(model.watch(moving()).read(QUESTION)[0].attention, before.attention)


def test_a_family_of_videos_reads_a_picture_as_a_video_of_one_frame(organism):
    picture = read_image(np.zeros((56, 56, 3), np.uint8))
    view = organism.watch(picture)
    assert view.checkpoint.medium == "video"
    assert view.grid.cells.frames == ((0,),)


def test_our_own_texts_call_a_picture_a_picture():
    asked = "Is there a cat in this video?"
    assert name_medium(asked, "image") == "Is there a cat in this image?"
    assert name_medium(asked, "video") == asked


@pytest.mark.parametrize(("family", "more"), [("idefics3", ()), ("smolvlm", ("--picture",))])
def test_the_command_line_proves_what_a_model_makes_of_a_picture(tmp_path, command, family, more):
    save_tiny(family, tmp_path)
    code, out, _ = command("check-model", tmp_path, "--dtype", "float32", *more)
    assert code == 0
    assert out.count("holds ") == 5
    assert "9 visual tokens, 1 frames of 3 x 3 cells" in out
