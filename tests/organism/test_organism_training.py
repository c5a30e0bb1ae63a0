import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from probe.engine.model import load
from probe.organism import training
from probe.organism.benchmark import SHAPES_TEST
from probe.organism.cuts import START, neighbourhood, sees_video, tower_mask, visual_mask
from probe.organism.exam import exam_lines, examine
from probe.organism.lessons import (
    QuestionBatch,
    QuestionLesson,
    asked_in,
    collate_questions,
    encode,
    packed,
)
from probe.organism.network import CELLS, make_network, make_processor, save
from probe.organism.recipe import Recipe, Shares
from probe.organism.scores import answers
from probe.organism.seeing import pixels
from probe.organism.training import edges, train
from probe.organism.world import make_clip

SHORT = replace(
    Recipe(),
    frame_steps=2,
    frame_clips=2,
    clip_steps=2,
    clip_clips=2,
    steps=4,
    clips=1,
    save_every=2,
)
PLAIN = Shares(local=0.0, partial=0.0, words=0.0, role=0.0)
CUT = Shares(local=1.0, partial=0.0, words=1.0, role=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder, SHORT)
    return folder


def test_a_run_leaves_a_checkpoint_that_opens_like_any_other(run, video):
    model = load(run / "checkpoint", dtype="float32")
    assert model.watch(video).read("What jumps?")[0].attention.shape[-3:] == (8, CELLS, CELLS)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in log} == {"frames", "clips", "words", "end"}


def test_a_stopped_run_goes_on_to_the_same_weights(run, tmp_path, monkeypatch):
    store = training._store

    def stop_after(*arguments):
        store(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_store", stop_after)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, SHORT)
    monkeypatch.undo()
    train(tmp_path, SHORT)
    whole = load_file(run / "checkpoint" / "model.safetensors")
    stopped = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert whole.keys() == stopped.keys()
    for name, weights in whole.items():
        assert torch.equal(weights, stopped[name]), name


def test_a_folder_keeps_to_its_recipe(run):
    with pytest.raises(ValueError, match="a run of another recipe"):
        train(run, replace(SHORT, seed=1))


def test_an_organism_that_answers_nothing_right_is_examined_all_the_same(tmp_path):
    save(make_network(1), tmp_path)  # untrained, it says no to both
    found = examine(load(tmp_path, dtype="float32"), SHAPES_TEST, 2)
    assert found["looks"] == {"questions": 0}
    assert found["control"]["questions"] == 2
    assert list(exam_lines(found))[-1].endswith("no question was answered right")


def test_pixels_are_those_of_the_processor(video):
    network = make_network(0)
    ours = pixels(torch.from_numpy(video.frames)[None], network)
    inputs = make_processor().video_processor(
        videos=[video.frames], do_sample_frames=False, return_tensors="pt"
    )
    torch.testing.assert_close(ours, inputs["pixel_values_videos"][0], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def batch():
    lesson = QuestionLesson(3, 10)
    return QuestionBatch(**collate_questions([lesson[0], lesson[1]]))


def test_no_question_sees_another_and_all_is_causal(batch):
    mask = edges(batch, PLAIN, torch.Generator().manual_seed(0))
    length = mask.shape[-1]
    assert not (mask & ~torch.ones(length, length, dtype=torch.bool).tril()).any()
    apart = batch.questions[:, :, None] != batch.questions[:, None, :]
    assert not (mask[:, START:, START:] & apart).any()
    assert mask.any(dim=-1).all()


def test_without_cuts_the_video_is_plainly_causal(batch):
    mask = edges(batch, PLAIN, torch.Generator().manual_seed(0))
    causal = torch.ones(START, START, dtype=torch.bool).tril()
    assert torch.equal(mask[0, :START, :START], causal)
    assert mask[:, START:, :START].all()


def test_what_is_hidden_from_a_question_is_hidden_from_all_its_words_in_all_frames(batch):
    sees = sees_video(batch.roles, batch.questions, CUT, torch.Generator().manual_seed(0))
    assert sees[batch.roles > 0].all()
    places = sees.unflatten(-1, (-1, CELLS * CELLS))
    assert torch.equal(places, places[:, :, :1].expand_as(places))
    first, second = ((batch.questions[0] == number) & (batch.roles[0] == 0) for number in (0, 1))
    assert (sees[0][first] == sees[0][first][0]).all()
    assert not torch.equal(sees[0][first][0], sees[0][second][0])
    words = sees[(batch.roles == 0) & (batch.questions >= 0)]
    assert 0.1 < words.float().mean() < 0.4  # a quarter, where the mean share hidden is 1
    blind = Shares(local=0.0, partial=0.0, words=0.0, role=1.0)
    sees = sees_video(batch.roles, batch.questions, blind, torch.Generator())
    assert not sees[batch.roles == 1].any()
    assert sees[batch.roles != 1].all()


def test_cut_visual_tokens_see_only_around_themselves_in_the_frame_before():
    mask = neighbourhood()
    cells = CELLS * CELLS
    middle = 3 * cells + 3 * CELLS + 3
    seen = set(torch.nonzero(mask[middle])[:, 0].tolist())
    around = {2 * cells + row * CELLS + column for row in (2, 3, 4) for column in (2, 3, 4)}
    assert seen == around | {middle}
    every = visual_mask(4, CUT, torch.Generator().manual_seed(0))
    assert torch.equal(every, mask.expand(4, -1, -1))


def test_a_local_tower_has_no_register():
    mask = tower_mask(local=True)
    assert mask is not None
    assert not mask[0, 0, 1:, 0].any()
    assert mask[0, 0, 1:, 1:].sum(-1).max() == 9


def test_scores_name_the_questions_that_were_asked(organism):
    table = answers(organism, 4, 3)
    for index, rows in table.groupby("clip"):
        asked = asked_in(4, int(str(index)))
        assert rows["kind"].tolist() == [question.kind for question in asked]
        batch = QuestionBatch(**collate_questions([packed(make_clip((4, int(str(index)))), asked)]))
        for number, question in enumerate(asked):
            words = batch.ids[0][(batch.questions[0] == number) & (batch.roles[0] == 0)]
            assert words.tolist() == encode(question.text)
