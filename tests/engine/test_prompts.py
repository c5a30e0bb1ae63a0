import pytest

from probe.engine.prompts import answer_ids, readable


@pytest.fixture(scope="module")
def writer(tiny):
    return tiny.checkpoint.writer(before=100)


def test_every_token_knows_what_it_is_for(writer):
    prompt = writer.write("Is there a red circle in this video?")
    kinds = [token.kind for token in prompt.tokens]
    assert kinds == ["word"] * 8 + ["stop"] + ["role"] * 5
    assert [token.text for token in prompt.tokens][-5:] == ["A", "SS", "IST", "ANT", ":"]
    assert prompt.indices("role") == (9, 10, 11, 12, 13)


def test_a_sentence_without_an_end_has_no_stop(writer):
    assert not writer.write("please describe this video").indices("stop")


def test_space_around_a_question_changes_nothing(writer):
    assert writer.write("  What jumps? \n").tokens == writer.write("What jumps?").tokens


def test_words_that_the_template_also_says_stay_words(writer):
    kinds = [token.kind for token in writer.write("USER: what does USER do").tokens]
    assert kinds[-5:] == ["role"] * 5
    assert kinds[:-5] == ["word"] * len(kinds[:-5])


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_is_refused(writer, query):
    with pytest.raises(ValueError, match="the question is empty"):
        writer.write(query)


@pytest.mark.parametrize("control", ["<video>", "<image>", "</s>", "<pad>", "<unk>", "<s>"])
def test_a_control_token_never_reaches_the_model(writer, control):
    with pytest.raises(ValueError, match=f"holds '{control}'"):
        writer.write(f"the red {control} circle")


def test_a_query_longer_than_the_context_is_refused(writer):
    with pytest.raises(ValueError, match="tokens but 412 fit after this video"):
        writer.write("red circle " * 300)


def test_all_one_token_forms_of_yes_and_no_are_found(writer):
    ids = answer_ids(writer.tokenizer)
    words = writer.tokenizer.convert_ids_to_tokens
    assert sorted(words(list(ids.yes))) == ["Yes", "yes"]
    assert sorted(words(list(ids.no))) == ["No", "no"]


def test_readable_keeps_tokens_that_are_nothing_but_space():
    assert readable("▁") == "▁"
    assert readable("Ġvideo") == "video"
