import json
import shutil

import pytest
from zoo import ZOO, save_tiny

from probe.engine import chat_templates
from probe.engine.chat_templates import WORDS, write_around
from probe.engine.model import load
from probe.engine.render_template import render

TEMPLATES = {
    "a filter": "{{ messages | tojson }}{{ {'é<>': [1]} | tojson(indent=2) }}",
    "a loop that is left": (
        "{% for i in range(9) %}{% if i > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"
    ),
    "a namespace": "{% set a = namespace(b=1) %}{% set a.b = a.b + 1 %}{{ a.b }}{{ dict(c=2) }}",
    "blocks on lines of their own": (
        "{% if true %}\n  a\n  {%- endif %}\n {% if true %}\n b{% endif %}"
    ),
    "the words of the assistant": "{% generation %}a{{ 1 }}{% endgeneration %}b",
    "special tokens": "{{ bos_token }}{{ eos_token }}{{ unknown }}",
    "a macro": "{% macro say(x) %}<{{ x }}>{% endmacro %}{{ say(messages[0].role | upper) }}",
    "no tools": "{{ tools is none }}{{ documents is none }}{{ tools is defined }}",
    "text": "{{ messages[0]['content'][1].text | trim }}{{ 'ab'[::-1] }}{{ 'x'.join(['a', 'b']) }}",
}


def render_both(processor, template):
    """Render with transformers, and with the program of ours."""
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": " words "}]}
    theirs = processor.apply_chat_template(
        [message], chat_template=template, add_generation_prompt=True, tokenize=False
    )
    variables = {
        **processor.tokenizer.special_tokens_map,
        "messages": [message],
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
    }
    return theirs, render(template, json.loads(json.dumps(variables)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_rendered_as_transformers_does(tiny, name):
    theirs, ours = render_both(tiny.checkpoint.processor, TEMPLATES[name])
    assert theirs == ours


@pytest.mark.slow
@pytest.mark.parametrize("family", ZOO)
def test_templates_of_all_families_are_rendered_as_transformers_does(family, tmp_path):
    save_tiny(family, tmp_path)
    processor = load(tmp_path).checkpoint.processor
    content = [{"type": "video"}, {"type": "text", "text": WORDS}]
    theirs = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert write_around(processor, {"type": "video"}, variables={}).write(WORDS) == theirs


def test_a_template_may_be_given_as_text_or_as_a_file(tiny_folder, tmp_path):
    own = load(tiny_folder).checkpoint.processor.chat_template
    other = own.replace("{{", "Listen. {{", 1)
    (tmp_path / "other.jinja").write_text(other)
    for given in (other, tmp_path / "other.jinja", str(tmp_path / "other.jinja")):
        model = load(tiny_folder, chat_template=given)
        assert "Listen." in model.checkpoint.writer(before=0).text("What jumps?")
    assert "Listen." not in load(tiny_folder).checkpoint.writer(before=0).text("What jumps?")


def test_a_template_that_is_not_there_is_named(tiny_folder, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.jinja: no such file"):
        load(tiny_folder, chat_template=tmp_path / "nowhere.jinja")
    (tmp_path / "picture.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"picture\.jinja: not a text in UTF-8"):
        load(tiny_folder, chat_template=tmp_path / "picture.jinja")


def test_an_empty_template_is_not_passed_over(tiny_folder, tmp_path):
    (tmp_path / "empty.jinja").write_text("")
    with pytest.raises(ValueError, match="without the user's words"):
        load(tiny_folder, chat_template=tmp_path / "empty.jinja")


def test_a_template_is_rendered_once_for_all_views(tiny, video, monkeypatch):
    view = tiny.watch(video)
    monkeypatch.setattr(chat_templates.subprocess, "run", None)  # nothing may call it
    view.read("What jumps?")
    tiny.watch(video).read("What else jumps?")


@pytest.mark.slow
def test_the_command_line_takes_a_template(tiny_folder, tmp_path, command):
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoint")
    template = (folder / "chat_template.jinja").rename(tmp_path / "given.jinja")
    code, _, err = command("check-model", folder)
    assert code == 2
    assert "--chat-template FILE" in err
    code, out, _ = command("check-model", folder, "--chat-template", template)
    assert code == 0
    assert out.count("holds") == 5
