"""Damage to good files: to bytes, to the values in JSON, to tensors and what is said of them."""

import codecs
import json
import struct

import numpy as np
import torch

from probe.files import read_tensors, write_tensors

WORDS = (
    *(b"ffconcat version 1.0\nfile seed.mp4\n", b"#EXTM3U\n#EXTINF:1,\nseed.mp4\n"),
    *(b"v=0\nm=video 5004 RTP/AVP 96\n", b"http://127.0.0.1:9/a", b"moov", b"mdat", b"IDAT"),
    *(b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xd8\xff"),
)
"""What a parser may take for the beginning of something else, and numbers at the edge of a type."""

DEEP, TWICE = "@deep@", "@twice@"
"""Marks of what no value of Python can hold, and which is put into the text of a file instead."""

VALUES = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400, 0.5, -1e308, 1e999, float("nan")),
    *("", "x", "0", "é犬🎉\x1b[31m", "../../x", "\ud800", "\n\n", "x" * 5000, DEEP, "/etc/passwd"),
    *([], {}, [[]], [None], [0] * 50, {"a": 1}, [[1, 2], [3]], {"is": "os:system"}, {"x": DEEP}),
)
"""Values that an entry of a JSON file may have by mistake or ill will."""

NAMES = ("", "x" * 5000, "two\nlines", "\x1b[31m", "../../etc/passwd", "\ud800", "\0", "is", "犬")
"""Names that an entry, which may be that of a video, should not have."""

EDGE = 1500
"""Bytes at the beginning and at the end of a file, where half of the damage is done."""

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")


def mutate_bytes(rng, content):
    """Damage bytes in one to four places."""
    for _ in range(rng.integers(1, 5)):
        start = draw_place(rng, len(content))
        length = int(min(2 ** rng.integers(0, 12), len(content) - start))
        damaged = DAMAGES[rng.integers(len(DAMAGES))](rng, content[start : start + length])
        content = content[:start] + damaged + content[start + length :]
    return content if rng.random() < 0.95 else content[: draw_place(rng, len(content))]


def draw_place(rng, length):
    """Draw a place in a file, half of the time near one of its ends, where headers are."""
    place = int(rng.integers(0, length + 1))
    near = min(place % EDGE, length)
    return int(rng.choice([place, place, near, length - near]))


DAMAGES = (
    lambda _, piece: bytes(len(piece)),
    lambda rng, piece: rng.bytes(len(piece)),
    lambda *_: b"",
    lambda rng, piece: piece * int(rng.integers(2, 5)),
    lambda rng, _: WORDS[rng.integers(len(WORDS))],
    lambda rng, piece: bytes([piece[0] ^ 1 << int(rng.integers(8))]) + piece[1:] if piece else b"",
    lambda rng, piece: struct.pack(">I", int(rng.integers(2**32))) + piece[4:],
)
"""What can become of some bytes."""


def mutate_json(rng, text):
    """Damage some values of a JSON file, and now and then its text."""
    content = json.loads(text)
    for _ in range(rng.integers(1, 4)):
        content = mutate_value(rng, content)
    text = json.dumps(content, ensure_ascii=False)
    depth = int(rng.choice([20, 90, 110, 900, 5000]))
    text = text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)
    text = text.replace(json.dumps(TWICE) + ": 0", '"a": 1, "a": 2')
    encoding = ENCODINGS[0] if rng.random() < 0.9 else ENCODINGS[rng.integers(len(ENCODINGS))]
    written = codecs.encode(text, encoding, "surrogatepass" if "utf" in encoding else "replace")
    return mutate_bytes(rng, written) if rng.random() < 0.1 else written


def mutate_value(rng, content):
    """Replace, remove, rename or repeat something at any place of nested lists and objects."""
    if not isinstance(content, dict | list) or not content or rng.random() < 0.1:
        return draw_value(rng)
    entries = [*content.items()] if isinstance(content, dict) else [*enumerate(content)]
    at = rng.integers(len(entries))
    key, value = entries[at]
    match rng.integers(0, 12):
        case 0:
            del entries[at]
        case 1:
            entries[at] = (key, draw_value(rng))
        case 2:
            entries += [entries[at] if isinstance(content, list) else (TWICE, 0)]
        case 3:
            entries[at] = (key, shift_number(rng, value))
        case 4:
            entries[at] = (NAMES[rng.integers(len(NAMES))], value)
        case _:
            entries[at] = (key, mutate_value(rng, value))
    return dict(entries) if isinstance(content, dict) else [value for _, value in entries]


def draw_value(rng):
    return VALUES[rng.integers(len(VALUES))]


def shift_number(rng, value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return [value]
    share = value / 640 if abs(value) < 1e300 else 0.5  # a share of the width instead of pixels
    return (-value, value + 1, value - 1, share, value * 1000)[rng.integers(5)]


def mutate_tensors(rng, source, target):
    """Damage tensors, what is said of them, or the bytes of their file."""
    if rng.random() < 0.4:
        target.write_bytes(mutate_bytes(rng, source.read_bytes()))
        return
    tensors, about = read_tensors(source)
    if rng.random() < 0.5:
        about = mutate_value(rng, about)
    else:
        name = list(tensors)[rng.integers(len(tensors))]
        tensors = {**tensors, name: mutate_tensor(rng, tensors[name])}
    if rng.random() < 0.1:
        tensors.popitem()
    write_tensors(target, tensors, about)


def mutate_tensor(rng, tensor):
    number = float(rng.choice([np.nan, np.inf, -1.0, 1e30]))
    damages = (
        lambda: tensor.flatten(),
        lambda: tensor[None],
        lambda: tensor[:0],
        lambda: tensor[..., :1],
        lambda: tensor.to(torch.float16),
        lambda: tensor.to(torch.int64),
        lambda: tensor.bool(),
        lambda: torch.full_like(tensor, number) if tensor.is_floating_point() else -tensor,
    )
    return damages[rng.integers(len(damages))]()
