"""The names of models: those that are shipped, and misspelt ones."""

import pytest

import probe
from probe.engine.model_names import SHIPPED, check_name
from probe.organism.catalogue import WORLDS


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_opened_by_its_name_and_is_shown_the_frames_of_its_world(name):
    model = probe.load(name)
    about = SHIPPED[name]
    assert model.is_shipped
    assert model.preferred_frames == WORLDS[about.world].sampled_frames
    assert str(model.checkpoint.dtype) == "torch.float32"
    assert about.knows in about.notice
    assert about.proposer == WORLDS[about.world].proposer


@pytest.mark.parametrize("name", SHIPPED)
def test_a_misspelt_shipped_name_is_told_the_right_one(name):
    with pytest.raises(ValueError, match=f"did you mean {name}\\?"):
        check_name(f"{name[:-1]}x")
