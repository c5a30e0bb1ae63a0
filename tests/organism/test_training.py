import json
import shutil
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tolerances import assert_equal_up_to_rounding

from probe.engine.model import load
from probe.files import read_tensors
from probe.organism.attention_masks import (
    make_attention_mask,
    make_neighbourhood_mask,
    make_text_to_video_mask,
    make_tower_mask,
    make_visual_masks,
)
from probe.organism.batches import (
    QUESTION_PART,
    ROLE_PART,
    QuestionBatch,
    QuestionDataset,
    collate_questions,
    make_clip_questions,
    pack_questions,
)
from probe.organism.benchmark import SHAPES_TEST
from probe.organism.exam import examine, format_exam
from probe.organism.network import make_network, make_processor, save_checkpoint
from probe.organism.patch_filters import set_patch_filters
from probe.organism.recipe import CutShares, Recipe
from probe.organism.scores import measure_answers
from probe.organism.shapes import SHAPES
from probe.organism.things.world import THINGS
from probe.organism.tokens import encode
from probe.organism.tower_pretraining import normalise_frames
from probe.organism.training import READER, train
from probe.organism.world import make_clip
from probe.pretraining import run_states

CELLS, TEXT_START = SHAPES.cells, SHAPES.text_start

SHORT = replace(
    Recipe(),
    frame_steps=3,
    frame_clips=2,
    clip_steps=3,
    clip_clips=2,
    steps=4,
    clips=1,
    save_every=2,
)
OF_THINGS = replace(SHORT, statements=1.0, reader="kept", growth=0.05, settle=0.3)
FEW_FILTERS = replace(THINGS, filter_clips=4)
PLAIN = CutShares(local=0.0, partial=0.0, words=0.0, role=0.0)
CUT = CutShares(local=1.0, partial=0.0, words=1.0, role=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder, SHORT)
    return folder


@pytest.mark.slow
def test_a_run_leaves_a_checkpoint_that_opens_like_any_other(run, video):
    model = load(run / "checkpoint", dtype="float32")
    assert model.watch(video).read("What jumps?")[0].attention.shape[-3:] == (8, CELLS, CELLS)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in log} == {"frames", "clips", "words", "end"}


@pytest.fixture(scope="module")
def run_of_things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "things"
    train(folder, OF_THINGS, world=FEW_FILTERS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whole_run", "recipe", "world"),
    [("run", SHORT, SHAPES), ("run_of_things", OF_THINGS, FEW_FILTERS)],
    ids=["shapes", "things"],
)
def test_a_run_that_stops_after_every_state_it_writes_ends_with_the_same_weights(
    whole_run, recipe, world, tmp_path, monkeypatch, request
):
    run = request.getfixturevalue(whole_run)

    def write_and_stop(path, *content):
        write(path, *content)
        stops.append(path.stem)
        raise KeyboardInterrupt

    write, stops = run_states.write_tensors, []
    monkeypatch.setattr(run_states, "write_tensors", write_and_stop)
    while not (tmp_path / "checkpoint").exists():
        with suppress(KeyboardInterrupt):
            train(tmp_path, recipe, world=world)
    assert stops == ["frames-state"] * 2 + ["clips-state"] * 2 + ["words"] * 2
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in run.iterdir()}
    whole = load_file(run / "checkpoint" / "model.safetensors")
    stopped = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert whole.keys() == stopped.keys()
    for name, weights in whole.items():
        assert torch.equal(weights, stopped[name]), name


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_continued(run, tmp_path):
    folder = tmp_path / "earlier"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoint"))
    for path in folder.glob("*.safetensors"):  # they had no metadata
        tensors, about = read_tensors(path)
        path.unlink()
        # Nor did a state divide weights from moments, and its number of steps was a tensor.
        done = {"done": torch.tensor(about["done"])} if "done" in about else {}
        names = {one: one.replace("moments.", "optimiser.") for one in tensors}
        old = {names[one].removeprefix("learner."): value for one, value in tensors.items()}
        save_file({**old, **done}, path)
    recipe = json.loads((run / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1))  # nor a last line end
    train(folder, SHORT)
    whole, continued = (
        (one / "checkpoint" / "model.safetensors").read_bytes() for one in (run, folder)
    )
    assert whole == continued


@pytest.mark.slow
@pytest.mark.slow
def test_later_stages_may_be_left_out(tmp_path, video):
    train(tmp_path / "run", replace(SHORT, clip_steps=0, steps=0))
    assert load(tmp_path / "run/checkpoint").watch(video).read("What jumps?")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in log} == {"frames", "end"}


def test_a_folder_keeps_to_its_recipe(run):
    with pytest.raises(ValueError, match="a run of another recipe"):
        train(run, replace(SHORT, seed=1))


@pytest.mark.slow
def test_an_organism_that_answers_nothing_right_is_examined_all_the_same(tmp_path):
    save_checkpoint(make_network(1), tmp_path)  # untrained, it says no to both
    found = examine(load(tmp_path, dtype="float32"), SHAPES_TEST, 2)
    assert found["looks"] == {"questions": 0}
    assert found["control"]["questions"] == 2
    assert list(format_exam(found))[-1].endswith("no question was answered right")


def test_pixels_are_those_of_the_processor(video):
    network = make_network(0)
    ours = normalise_frames(torch.from_numpy(video.frames)[None], network)
    inputs = make_processor().video_processor(
        videos=[video.frames], do_sample_frames=False, return_tensors="pt"
    )
    assert_equal_up_to_rounding(ours, inputs["pixel_values_videos"][0])


@pytest.fixture(scope="module")
def batch():
    dataset = QuestionDataset(3, 10)
    return QuestionBatch(**collate_questions([dataset[0], dataset[1]]))


def test_no_question_sees_another_and_all_is_causal(batch):
    mask = make_attention_mask(batch, PLAIN, torch.Generator().manual_seed(0))
    length = mask.shape[-1]
    assert not (mask & ~torch.ones(length, length, dtype=torch.bool).tril()).any()
    apart = batch.questions[:, :, None] != batch.questions[:, None, :]
    assert not (mask[:, TEXT_START:, TEXT_START:] & apart).any()
    assert mask.any(dim=-1).all()


def test_without_cuts_the_video_is_plainly_causal(batch):
    mask = make_attention_mask(batch, PLAIN, torch.Generator().manual_seed(0))
    causal = torch.ones(TEXT_START, TEXT_START, dtype=torch.bool).tril()
    assert torch.equal(mask[0, :TEXT_START, :TEXT_START], causal)
    assert mask[:, TEXT_START:, :TEXT_START].all()


def test_what_is_hidden_from_a_question_is_hidden_from_all_its_words_in_all_frames(batch):
    sees = make_text_to_video_mask(
        batch.parts, batch.questions, CUT, torch.Generator().manual_seed(0)
    )
    assert sees[batch.parts != QUESTION_PART].all()
    places = sees.unflatten(-1, (-1, CELLS * CELLS))
    assert torch.equal(places, places[:, :, :1].expand_as(places))
    first, second = (
        (batch.questions[0] == number) & (batch.parts[0] == QUESTION_PART) for number in (0, 1)
    )
    assert (sees[0][first] == sees[0][first][0]).all()
    assert not torch.equal(sees[0][first][0], sees[0][second][0])
    words = sees[(batch.parts == QUESTION_PART) & (batch.questions >= 0)]
    assert 0.1 < words.float().mean() < 0.4  # a quarter, where the mean share hidden is 1
    blind = CutShares(local=0.0, partial=0.0, words=0.0, role=1.0)
    sees = make_text_to_video_mask(batch.parts, batch.questions, blind, torch.Generator())
    assert not sees[batch.parts == ROLE_PART].any()
    assert sees[batch.parts != ROLE_PART].all()


def test_cut_visual_tokens_see_only_around_themselves_in_the_frame_before():
    mask = make_neighbourhood_mask()
    cells = CELLS * CELLS
    middle = 3 * cells + 3 * CELLS + 3
    seen = set(torch.nonzero(mask[middle])[:, 0].tolist())
    around = {2 * cells + row * CELLS + column for row in (2, 3, 4) for column in (2, 3, 4)}
    assert seen == around | {middle}
    every = make_visual_masks(4, CUT, torch.Generator().manual_seed(0))
    assert torch.equal(every, mask.expand(4, -1, -1))


def test_a_local_tower_has_no_register():
    mask = make_tower_mask(local=True)
    assert mask is not None
    assert not mask[0, 0, 1:, 0].any()
    assert mask[0, 0, 1:, 1:].sum(-1).max() == 9


@pytest.mark.slow
def test_scores_name_the_questions_that_were_asked(organism):
    table = measure_answers(organism, 4, 3)
    for index, rows in table.groupby("clip"):
        asked = make_clip_questions(4, int(str(index)))
        assert rows["kind"].tolist() == [question.kind for question in asked]
        batch = QuestionBatch(
            **collate_questions([pack_questions(make_clip((4, int(str(index)))), asked)])
        )
        for number, question in enumerate(asked):
            words = batch.ids[0][(batch.questions[0] == number) & (batch.parts[0] == QUESTION_PART)]
            assert tuple(words.tolist()) == encode(question.text)


@pytest.mark.slow
def test_things_are_learned_by_the_same_three_stages(run_of_things):
    log = [json.loads(line) for line in (run_of_things / "log.jsonl").read_text().splitlines()]
    (clips,) = [entry for entry in log if entry["stage"] == "clips"]
    assert {"f1_words", "acts_head", "acts_words"} <= clips.keys()
    weights = load_file(run_of_things / "checkpoint" / "model.safetensors")
    before = make_network(SHORT.seed, FEW_FILTERS)
    set_patch_filters(before, FEW_FILTERS)
    filters = "model.vision_tower.embeddings.patch_embedding.weight"
    # The filters of its tower stay as the grounds have set them; everything else has learned.
    (found,) = [weight for name, weight in weights.items() if "patch_embedding" in name]
    assert torch.equal(found, before.state_dict()[filters].to(found))


@pytest.mark.slow
def test_a_kept_reader_is_stored_with_its_stage_alone_and_is_where_the_next_one_begins(
    run, run_of_things
):
    def list_kept(folder, stage):
        tensors, _ = read_tensors(folder / f"{stage}.safetensors")
        return [name for name in tensors if name.startswith(READER)]

    assert list_kept(run_of_things, "clips")
    assert not list_kept(run_of_things, "frames")
    assert not list_kept(run, "clips")
    kept = read_tensors(run_of_things / "clips.safetensors")[0][f"{READER}head.weight"]
    learned = read_tensors(run_of_things / "words.safetensors")[0]["learner.reader.head.weight"]
    # A new one would be as far from it as two random ones are: 1.4 times their length.
    assert 0 < (learned - kept).norm() < 0.2 * kept.norm()
