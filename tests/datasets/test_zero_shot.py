import numpy as np
import pytest
from published_formats import CLASSES, IMAGES, SEEN, VALIDATION, write_xlsa17

from probe.datasets.zero_shot import read_zero_shot


@pytest.fixture
def root(tmp_path):
    write_xlsa17(tmp_path / "xlsa17" / "data" / "AWA2")
    return tmp_path


def test_files_in_the_published_form_are_read_from_0_and_by_row(tmp_path):
    samples, splits = write_xlsa17(tmp_path / "AWA2")
    found = read_zero_shot("awa2", tmp_path)
    np.testing.assert_allclose(found.features, samples["features"].T, rtol=1e-6)
    np.testing.assert_allclose(found.attributes, splits["att"].T, rtol=1e-6)
    assert found.classes.tolist() == [k % CLASSES for k in range(IMAGES)]
    assert found.images is not None
    assert found.validation is not None
    assert found.names[2] == "animal+2"
    assert found.images[1].endswith("JPEGImages/animal+1/1.jpg")
    assert (tuple(found.seen), tuple(found.validation)) == (SEEN, (VALIDATION,))
    parts = [
        set(found.parts[one].tolist())
        for one in ("trainval_loc", "test_seen_loc", "test_unseen_loc")
    ]
    assert set.union(*parts) == set(range(IMAGES))
    assert found.notes[0] == "awa2: 24 images, where 37322 are reported"


def test_the_folder_is_found_at_any_depth_of_the_archive(root):
    for given in (root, root / "xlsa17" / "data", root / "xlsa17" / "data" / "AWA2"):
        assert len(read_zero_shot("awa2", given).classes) == IMAGES
    with pytest.raises(ValueError, match=r"no att_splits\.mat in it or in CUB"):
        read_zero_shot("cub", root)
    with pytest.raises(ValueError, match="did you mean awa2"):
        read_zero_shot("awa3", root)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"test_unseen_loc": [[1.0]]}, "1 classes are both seen and unseen, such as 'animal"),
        ({"test_seen_loc": [[1.0]]}, "a sample is in two of trainval_loc"),
        ({"labels": np.full((IMAGES, 1), 9.0)}, "a label is not one of 1 to 6"),
        ({"labels": np.ones((3, 1))}, "24 features for 3 labels"),
        ({"val_loc": [[25.0]]}, "val_loc names samples outside 1 to 24"),
        ({"att": np.zeros((3, 2))}, "2 rows of attributes for 6 classes"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path, changes, problem):
    write_xlsa17(tmp_path, **changes)
    with pytest.raises(ValueError, match=problem):
        read_zero_shot("awa2", tmp_path)


def test_a_damaged_file_says_which(tmp_path):
    write_xlsa17(tmp_path)
    whole = (tmp_path / "res101.mat").read_bytes()
    (tmp_path / "res101.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"res101.mat: not a .mat file, or damaged"):
        read_zero_shot("awa2", tmp_path)
    (tmp_path / "res101.mat").unlink()
    with pytest.raises(ValueError, match=r"res101.mat: no such file"):
        read_zero_shot("awa2", tmp_path)
