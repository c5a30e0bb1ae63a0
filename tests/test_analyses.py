import importlib.util
import json
from pathlib import Path

import pytest

ANALYSES = Path(__file__).parent.parent / "analyses"


def defining(function):
    return sorted(path for path in ANALYSES.glob("*.py") if f"def {function}(" in path.read_text())


@pytest.fixture(autouse=True)
def _beside_its_neighbours(monkeypatch):
    monkeypatch.syspath_prepend(ANALYSES)  # as when a script is run


def opened(script):
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", defining("draw"), ids=lambda script: script.stem)
def test_every_figure_draws_from_its_stored_numbers(script):
    module = opened(script)
    assert module.draw(json.loads(module.NUMBERS.read_text())).axes


@pytest.mark.parametrize("script", defining("measure"), ids=lambda script: script.stem)
def test_what_is_measured_has_the_shape_of_what_is_stored(script):
    module = opened(script)
    measured = module.measure(clips=2)
    stored = json.loads(module.NUMBERS.read_text())
    assert measured.keys() == stored.keys()
    assert measured["weights_sha256"] == stored["weights_sha256"]
