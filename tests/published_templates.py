"""Chat templates in the forms that published checkpoints have, each with the text that it writes.

They are written anew from what was read, and shortened to one message of a user: no tools, no other
turns. What is left has their constructs, since those are what a renderer may get wrong.

Read in huggingface/trl (`trl/chat_templates`: Qwen2.5-VL, Qwen3-VL, Qwen3.5, Gemma 4, SmolVLM2), in
the tests and conversion scripts of huggingface/transformers (LLaVA, LLaVA-OneVision, InternVL3),
and in copies of the checkpoints' own files (GLM-4.1V, GLM-4.5V, GLM-4.6V, Qwen3-VL-Thinking).
"""

from dataclasses import dataclass

QUESTION = "What jumps?"


@dataclass(frozen=True)
class Published:
    """One template, with what it writes for a user who shows a video and asks `QUESTION`."""

    families: tuple[str, ...]
    """The families whose checkpoints have it."""

    template: str
    before: str
    """The text before the question."""

    after: str
    """The text after the question, with thinking switched off where that can be."""

    opening: str
    """The token that opens the answer's turn."""

    controls: tuple[str, ...] = ()
    """Control tokens of the checkpoint's tokenizer that it writes, besides those of the zoo's."""

    begins: bool = False
    """True if the checkpoint's tokenizer puts its first token before every text."""


def _each(part: str, written: str) -> str:
    """Write something for each part of the message that is of one kind."""
    chosen = f"message['content'] | selectattr('type', 'equalto', '{part}')"
    return f"{{% for part in {chosen} %}}{written}{{% endfor %}}"


def _ask(opening: str) -> str:
    return f"{{% if add_generation_prompt %}}{{{{ '{opening}' }}}}{{% endif %}}"


_TURNS = "{% for message in messages %}"
_END = "{% endfor %}"

_VICUNA = (
    _TURNS
    + "{{ message['role'].upper() + ': ' }}"
    + _each("video", "{{ '<video>\\n' }}")
    + _each("text", "{{ part['text'] + ' ' }}")
    + _END
    + _ask("ASSISTANT:")
)

_ONEVISION = (
    _TURNS
    + "{{ '<|im_start|>' + message['role'] + ' ' }}"
    + "{# Render all video then #}"
    + _each("video", "{{ '<video>' }}")
    + _each("text", "{{ '\\n' + part['text'] }}")
    + "{{ '<|im_end|>' }}"
    + _END
    + _ask("<|im_start|>assistant\\n")
)

_INTERNVL = """\
{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}\
{% for part in message['content'] %}\
{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}\
{% elif part['type'] == 'video' %}{{ '<video>\\n' }}\
{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}\
{% endfor %}{{'<|im_end|>\\n'}}{% endfor %}""" + _ask("<|im_start|>assistant\\n")

# For pictures alone; videos are written by the default of the processor's module.
_SMOLVLM = """\
<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}\
{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}\
{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}""" + _ask("Assistant:")

_QWEN2 = """\
{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}\
{% for message in messages %}\
{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}\
{% if part['type'] == 'video' or 'video' in part %}\
{% set video_count.value = video_count.value + 1 %}\
{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}\
<|vision_start|><|video_pad|><|vision_end|>\
{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}""" + _ask("<|im_start|>assistant\\n")

_QWEN3 = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- for content in message.content %}
        {%- if content.type == 'video' or 'video' in content %}
            {%- if add_vision_id %}Video 1: {% endif -%}
            <|vision_start|><|video_pad|><|vision_end|>
        {%- elif 'text' in content %}
            {{- content.text }}
        {%- endif %}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

_QWEN3_5 = """\
{%- macro render_content(content) %}
    {%- for item in content %}
        {%- if 'video' in item or item.type == 'video' %}
            {{- '<|vision_start|><|video_pad|><|vision_end|>' }}
        {%- elif 'text' in item %}
            {{- item.text }}
        {%- else %}
            {{- raise_exception('Unexpected item type in content.') }}
        {%- endif %}
    {%- endfor %}
{%- endmacro %}
{%- for message in messages %}
    {%- set content = render_content(message.content)|trim %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- else %}
        {{- '<think>\\n' }}
    {%- endif %}
{%- endif %}"""

_GLM_4_1V = """\
[gMASK]<sop>
{%- for msg in messages %}
    {%- if msg.role == 'user' %}
<|user|>{{ '\\n' }}
        {%- for item in msg.content %}
            {%- if item.type == 'video' or 'video' in item %}
<|begin_of_video|><|video|><|end_of_video|>
            {%- elif item.type == 'text' %}
{{ item.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

_GLM_4_5V = """\
[gMASK]<sop>
{%- macro visible_text(content) -%}
    {%- for item in content -%}
        {%- if item is mapping and item.type == 'text' -%}
            {{- item.text }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
{% for m in messages %}
{%- if m.role == 'user' -%}<|user|>
{% for item in m.content %}
{% if item.type == 'video' or 'video' in item %}
<|begin_of_video|><|video|><|end_of_video|>{% elif item.type == 'text' %}
{{ item.text }}
{%- endif %}
{%- endfor %}
{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not \
visible_text(m.content).endswith("/nothink")) else '' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|assistant|>{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) \
else '' -}}
{%- endif -%}"""

_GEMMA_4 = """\
{{- bos_token -}}
{%- if enable_thinking is defined and enable_thinking -%}
    {{- '<|turn>system\\n<|think|>\\n<turn|>\\n' -}}
{%- endif %}
{%- for message in messages -%}
    {{- '<|turn>' + message['role'] + '\\n' }}
    {%- for item in message['content'] -%}
        {%- if item['type'] == 'text' -%}
            {{- item['text'] | trim -}}
        {%- elif item['type'] == 'video' -%}
            {{- '\\n\\n<|video|>\\n\\n' -}}
        {%- endif -%}
    {%- endfor -%}
    {{- '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
    {%- if not enable_thinking | default(false) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}
{%- endif -%}
"""

_CHATML = "<|im_end|>\n<|im_start|>assistant\n"
_VISION = "<|vision_start|><|video_pad|><|vision_end|>"
_GLM_VIDEO = "<|begin_of_video|><|video|><|end_of_video|>"
_CLOSED = "<think>\n\n</think>\n\n"

PUBLISHED = {
    "LLaVA-NeXT-Video-7B": Published(
        ("llava_next_video", "video_llava"),
        _VICUNA,
        "USER: <video>\n",
        " ASSISTANT:",
        "A",
        begins=True,
    ),
    "LLaVA-OneVision": Published(
        ("llava_onevision",),
        _ONEVISION,
        "<|im_start|>user <video>\n",
        "<|im_end|><|im_start|>assistant\n",
        "<|im_start|>",
    ),
    "InternVL3": Published(
        ("internvl",), _INTERNVL, "<|im_start|>user\n<video>\n", _CHATML, "<|im_start|>"
    ),
    "SmolVLM2": Published(
        ("smolvlm",),
        _SMOLVLM,
        "<|im_start|>User: <video>",
        "<end_of_utterance>\nAssistant:",
        "Assistant",
    ),
    "Qwen2.5-VL": Published(
        ("qwen2_vl", "qwen2_5_vl"),
        _QWEN2,
        f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{_VISION}",
        _CHATML,
        "<|im_start|>",
    ),
    "Qwen3-VL-Instruct": Published(
        ("qwen3_vl", "qwen3_vl_moe"),
        _QWEN3,
        "<|im_start|>user\n<|video_pad|>",
        _CHATML,
        "<|im_start|>",
    ),
    "Qwen3.5": Published(
        ("qwen3_5", "qwen3_5_moe"),
        _QWEN3_5,
        "<|im_start|>user\n<|video_pad|>",
        _CHATML + _CLOSED,
        "<|im_start|>",
        ("<think>", "</think>"),
    ),
    "GLM-4.1V": Published(
        ("glm4v",),
        _GLM_4_1V,
        f"[gMASK]<sop><|user|>\n{_GLM_VIDEO}",
        "<|assistant|>\n",
        "<|assistant|>",
    ),
    "GLM-4.5V and GLM-4.6V": Published(
        ("glm4v_moe", "glm46v"),
        _GLM_4_5V,
        f"[gMASK]<sop><|user|>\n{_GLM_VIDEO}",
        "/nothink<|assistant|>\n<think></think>",
        "<|assistant|>",
        ("/nothink", "<think>", "</think>"),
    ),
    "Gemma 4": Published(
        ("gemma4",),
        _GEMMA_4,
        "<s><|turn>user\n\n\n<|video|>\n\n",
        "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        "<|turn>",
        ("<|channel>", "<channel|>"),
        begins=True,
    ),
}

CASES = [(name, family) for name, one in PUBLISHED.items() for family in one.families]
"""Every template with each family that has it."""

OPEN_THOUGHTS = {
    "Qwen3-VL-Thinking": (
        "qwen3_vl",
        _QWEN3.replace("assistant\\n'", "assistant\\n<think>\\n'"),
        "<think>",
    ),
    "Qwen3.5 without its switch": (
        "qwen3_5",
        _QWEN3_5.replace("enable_thinking is false", "false"),
        "<think>",
    ),
    "Gemma 4 in a thought": (
        "gemma4",
        _GEMMA_4.replace("<|channel>thought\\n<channel|>", "<|channel>thought\\n"),
        "<|channel>",
    ),
}
"""Templates that leave a thought open whatever they are told: family, template and mark."""
