import shutil
from dataclasses import replace

import pytest

from probe.engine.fingerprint import fingerprint, identify_weights
from probe.engine.model import load
from probe.engine.model_files import OpeningOptions, find_model


def test_every_file_of_a_checkpoint_is_part_of_its_fingerprint(tiny, tiny_folder, tmp_path):
    model = load(shutil.copytree(tiny_folder, tmp_path / "copy"))
    assert fingerprint(model) == fingerprint(tiny)  # the name of the folder is not
    seen = {fingerprint(model)}
    for path in sorted((tmp_path / "copy").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        seen.add(fingerprint(model))
        path.write_bytes(whole)
    assert len(seen) == 1 + len(list(tiny_folder.iterdir()))
    assert fingerprint(model) == fingerprint(tiny)


def test_a_file_under_another_name_changes_the_fingerprint(tiny_folder, tmp_path):
    model = load(shutil.copytree(tiny_folder, tmp_path / "copy"))
    before = fingerprint(model)
    (tmp_path / "copy" / "generation_config.json").rename(tmp_path / "copy" / "other.json")
    assert fingerprint(model) != before


def test_a_given_template_changes_the_fingerprint_and_not_the_weights(tiny, tiny_folder):
    own = tiny.checkpoint.processor.chat_template
    other = load(tiny_folder, chat_template=own + "{# changed #}")
    assert fingerprint(other) != fingerprint(tiny)
    assert identify_weights(other) == identify_weights(tiny)


def test_the_shipped_model_has_a_fingerprint(organism):
    assert fingerprint(organism) == fingerprint(load())


def test_number_formats_of_the_same_files_have_fingerprints_of_their_own(tiny, tiny_folder):
    known = {fingerprint(tiny)}  # in float32, as it is stored
    for dtype in ("float16", "bfloat16"):
        known.add(fingerprint(load(tiny_folder, dtype=dtype)))
    # Bits are chosen here by hand: the package that quantizes is not installed.
    files = find_model(tiny_folder, OpeningOptions())
    for options in ({"quantize": "4bit"}, {"quantize": "4bit", "dtype": "float16"}):
        chosen = replace(files, options=replace(files.options, **options))
        known.add(fingerprint(replace(tiny, converted=chosen.conversion)))
    assert len(known) == 5
    shipped = find_model("organism", OpeningOptions())
    assert shipped.conversion is None, "or maps that were learned on it would no longer fit"
    assert find_model("organism", OpeningOptions(dtype="float16")).conversion == "float16"


@pytest.mark.parametrize("commit", ["abc", "def"])
def test_on_the_hub_a_commit_takes_the_place_of_the_files(tiny, commit):
    published = replace(tiny, name="org/model", revision=commit)
    assert identify_weights(published) == commit
    assert fingerprint(published) != fingerprint(tiny)
