"""RefCOCO's files: read as they were published, and never run."""

import collections
import copyreg
import io
import json
import pickle
import pickletools
import struct

import numpy as np
import pytest
from referring_formats import HEIGHT, WIDTH, draw_mask, list_things, write_refer

from probe.datasets.coco_masks import read_segmentation
from probe.datasets.refcoco import read_cues, read_refcoco
from probe.datasets.refcoco_pickles import PLAIN_INSTRUCTIONS, read_plain_pickle
from probe.video.masks import Mask


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    write_refer(folder)
    return folder


def test_things_have_the_sentences_boxes_masks_and_pictures_that_were_written(root):
    data = read_refcoco("refcoco+", root)
    assert (data.split, data.parts) == ("unc", ("train", "val", "testA", "testB"))
    assert len(data.choose("train")) == len(data.choose("val")) == 8
    for one in data.referents:
        colour, form, x, y = list_things(one.image)[one.annotation % 10]
        assert one.sentences[0].text == f"the {colour} {form}"
        mask = one.read_mask()
        assert mask.size == one.size == (HEIGHT, WIDTH)
        pixels = mask.to_pixels()
        assert pixels[y, x]
        drawn = draw_mask(one.segmentation[0])
        # Two ways to fill a polygon differ by pixels of its edge.
        assert (pixels & drawn).sum() / (pixels | drawn).sum() > 0.93
        assert mask.box is not None
        assert np.abs(mask.box - one.box).max() <= 1
        assert data.find_picture(one).name == one.picture_name
    assert not data.list_shared_pictures("train", "val")


def test_one_set_is_not_read_for_another(root):
    with pytest.raises(ValueError, match=r"no annotations of refcoco in it"):
        read_refcoco("refcoco", root)
    with pytest.raises(ValueError, match=r"no split of refcoco\+ is called 'umd'"):
        read_refcoco("refcoco+", root, "umd")
    with pytest.raises(ValueError, match="nothing in its part testA"):
        read_refcoco("refcoco+", root).choose("testA")


def test_pictures_in_two_parts_are_counted(tmp_path):
    folder = write_refer(tmp_path, "refcocog", "google", pictures=1)
    path = folder / "refs(google).p"
    refs = pickle.loads(path.read_bytes())
    for ref in refs[1:]:
        ref.update(image_id=0, ann_id=1, split="val")
    path.write_bytes(pickle.dumps(refs))
    data = read_refcoco("refcocog", tmp_path, "google")
    assert data.list_shared_pictures("train", "val") == (0,)


def test_polygons_and_runs_of_several_parts_are_united():
    left, right = np.zeros((2, 20, 30), dtype=bool)
    left[2:9, 1:7] = True
    right[5:18, 20:29] = True
    polygons = [[1, 2, 7, 2, 7, 9, 1, 9], [20, 5, 29, 5, 29, 18, 20, 18]]
    listed = {"size": [20, 30], "counts": list_runs(left | right)}
    for form in (
        polygons,
        listed,
        Mask.from_pixels(left | right).to_dict(),
        [Mask.from_pixels(part).to_dict() for part in (left, right)],
    ):
        assert np.array_equal(read_segmentation(form, (20, 30)).to_pixels(), left | right)


def list_runs(pixels):
    column = pixels.ravel("F")
    edges = np.flatnonzero(np.diff(column, prepend=False, append=False))
    runs = np.diff(edges, prepend=0).tolist()
    return [*runs, int(column.size - sum(runs))]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[0, 0, 5, 0, 5, 1e9]],
        [[0, 0, 5, 0, 5, float("nan")]],
        [["x"] * 6],
    ],
)
def test_a_damaged_polygon_is_refused(broken):
    with pytest.raises(ValueError):  # noqa: PT011  each kind has its own message
        read_segmentation(broken, (20, 30))


def test_cues_are_read_by_ref_and_sentence(root, tmp_path):
    cues = read_cues(root / "refer/refcoco+/cues.json")
    colour, form, *_ = list_things(1)[1]
    assert cues[511][9022] == (f"a {form}", f"a {colour} thing")
    for broken in ([], {"1": ["a"]}, {"1": {"x": ["a"]}}, {"1": {"2": []}}, {"1": {"2": [""]}}):
        (tmp_path / "cues.json").write_text(json.dumps(broken))
        # Not its ending: the path of a file deep in folders is cut where a line would be too long.
        with pytest.raises(ValueError, match=r"/cues"):
            read_cues(tmp_path / "cues.json")


class Evil:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class Kept(pickle.Pickler):
    def persistent_id(self, obj):
        return "kept elsewhere" if isinstance(obj, Evil) else None


def pickle_kept(evil):
    stream = io.BytesIO()
    Kept(stream).dump([evil])
    return stream.getvalue()


def pickle_extension(_):
    # An extension that some program has registered, and that is found without its name.
    copyreg.add_extension("collections", "OrderedDict", 0x7001)
    try:
        return pickle.dumps(collections.OrderedDict, protocol=2)
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 0x7001)


def call(path):
    """`open(path, "w")` in the oldest instructions: names in plain text, then a call."""
    return b"io\nopen\n", f"V{path}\nVw\n".encode()


ATTACKS = {
    "a call": lambda evil: pickle.dumps([evil], protocol=4),
    "a call of protocol 0": lambda evil: pickle.dumps([evil], protocol=0),
    "a call deep inside": lambda evil: pickle.dumps([{"sentences": [{"sent": evil}]}]),
    "a call after the list": lambda evil: pickle.dumps([])[:-1] + pickle.dumps(evil)[2:],
    "INST": lambda evil: b"(" + call(evil.path)[1] + b"i" + call(evil.path)[0] + b".",
    "OBJ": lambda evil: b"(c" + call(evil.path)[0] + call(evil.path)[1] + b"o.",
    "a class": lambda _: pickle.dumps([collections.OrderedDict]),
    "a numpy number": lambda _: pickle.dumps([np.int64(3)]),
    "an object kept elsewhere": pickle_kept,
    "an extension": pickle_extension,
    "a buffer outside": lambda _: pickle.dumps(
        [pickle.PickleBuffer(b"x" * 9)], protocol=5, buffer_callback=lambda _: False
    ),
    "a table of two thousand million places": lambda _: (
        b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b"."
    ),
    "a text of which a part is there": lambda _: b"\x80\x02X" + struct.pack("<I", 2**31) + b"x.",
    "a number that is none": lambda _: b"I12x\n.",
    "a place that holds nothing": lambda _: b"\x80\x02h\x07.",
    "an empty stack": lambda _: b"\x80\x02a.",
    "a list as a key": lambda _: b"\x80\x02}]]s.",
    "no end": lambda _: pickle.dumps([1, 2])[:-1],
    "no pickle": lambda _: b"PK\x03\x04 and so on",
    "nothing": lambda _: b"",
    "a list in itself": lambda _: b"\x80\x02]q\x00h\x00a.",
    "a deep list": lambda _: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "ten times ten, forty deep": lambda _: (
        b"\x80\x02]q\x00" + b"".join(b"](" + 10 * b"h\x00" + b"eq\x00" for _ in range(40)) + b"."
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_pickle_that_is_more_than_plain_values_is_refused_in_one_line(attack, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "refs(unc).p"
    path.write_bytes(ATTACKS[attack](Evil(marker)))
    with pytest.raises(ValueError, match="as its authors published it") as refused:
        read_plain_pickle(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    assert not marker.exists()


def test_the_attacks_would_have_run(tmp_path):
    for name in ("a call", "a call of protocol 0", "a call deep inside", "INST", "OBJ"):
        marker = tmp_path / "ran"
        pickle.loads(ATTACKS[name](Evil(marker)))
        assert marker.exists()
        marker.unlink()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back_whatever_the_protocol(protocol, tmp_path):
    shared = ["the", "dog"]
    values = [
        {"id": 7, "large": 2**70, "less": -3, "share": 0.5, "yes": True, "none": None},
        {"tokens": shared, "again": shared, "text": "Zoë\n\\ ' \"", "pair": (1, (2, 3)), "": ()},
    ]
    content = pickle.dumps(values, protocol)
    assert {one.name for one, *_ in pickletools.genops(content)} <= PLAIN_INSTRUCTIONS
    (tmp_path / "plain.p").write_bytes(content)
    assert read_plain_pickle(tmp_path / "plain.p") == values


def test_texts_of_python_2_are_read(tmp_path):
    # As Python 2.7 writes a list with a dictionary of such texts, in its protocols 2 and 0.
    binary = b"\x80\x02]q\x01}q\x02(U\x04sentU\x07the dogU\x03rawU\x04Zo\xc3\xabua."
    text = b"(lp1\n(dp2\nS'sent'\nS'the dog'\nsS'raw'\nVZo\\u00eb\nsa."
    for content in (binary, text):
        (tmp_path / "old.p").write_bytes(content)
        assert read_plain_pickle(tmp_path / "old.p") == [{"sent": "the dog", "raw": "Zoë"}]
