"""Lists of heads that are of no use are refused in one line, which names the file."""

import json
import re

import pytest

from probe.interpret.heads import HEADS_FORMAT, HeadList

GOOD = {
    **HEADS_FORMAT.header,
    "heads": [[1, 2], [3, 0]],
    "model": {"name": "tiny", "revision": None, "layers": 4},
    "found": "by votes",
}

BAD = {
    "no heads": {"heads": None},
    "heads of text": {"heads": "1,2"},
    "a head alone": {"heads": [1, 2]},
    "three numbers": {"heads": [[1, 2, 3]]},
    "a negative layer": {"heads": [[-1, 2]]},
    "half a head": {"heads": [[1, 2.5]]},
    "NaN": {"heads": [[1, float("nan")]]},
    "true": {"heads": [[1, True]]},
    "text in a pair": {"heads": [["1", "2"]]},
    "a model of text": {"model": "tiny"},
    "no model": {"model": None},
    "found by numbers": {"found": 7},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_list_of_no_use_is_refused_in_one_line(tmp_path, change):
    path = tmp_path / "heads.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: cannot be read") as refused:
        HeadList.load(path)
    assert "\n" not in str(refused.value)


def test_a_good_list_is_read(tmp_path):
    path = tmp_path / "heads.json"
    path.write_text(json.dumps(GOOD | {"heads": [[1, 2], [10**6, 0]]}))
    assert HeadList.load(path).heads == ((1, 2), (10**6, 0))
