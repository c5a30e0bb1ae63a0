import shutil
from dataclasses import replace

import pytest

from probe.engine.fingerprint import fingerprint, identify_weights
from probe.engine.model import load


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


@pytest.mark.parametrize("commit", ["abc", "def"])
def test_on_the_hub_a_commit_takes_the_place_of_the_files(tiny, commit):
    published = replace(tiny, name="org/model", revision=commit)
    assert identify_weights(published) == commit
    assert fingerprint(published) != fingerprint(tiny)
