"""The public names: one table gives imports, types and what `from probe import *` brings."""

import subprocess
import sys
from pathlib import Path

import pytest

import probe
from probe import public


def test_the_stub_for_type_checkers_is_what_the_table_says():
    written = Path(probe.__file__).with_name("__init__.pyi").read_text(encoding="utf-8")
    assert written == public.stub(), "run: python -m probe.public"


@pytest.mark.parametrize("name", [*public.ALL, *public.HOMES])
def test_every_name_is_there_and_says_what_it_is(name):
    assert getattr(probe, name).__doc__
    assert name in dir(probe)


def test_the_flat_names_are_few_and_in_reading_order():
    # 56, since read_image came: a person with a photo looks for it next to read_video.
    assert len(public.ALL) <= 56
    assert list(probe.__all__) == list(public.ALL)
    assert probe.__all__.index("load") < probe.__all__.index("ground") < probe.__all__.index("page")


def test_rules_have_namespaces():
    assert probe.span_rules.TopHull is probe.TopHull
    assert probe.token_rules.MostActive is probe.MostActive
    assert probe.losses.contrast is probe.contrast
    assert callable(probe.track_rules.AttentionPeak())


def test_the_version_is_the_installed_ones():
    assert probe.__version__.count(".") == 2


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'gaze'"):
        getattr(probe, "gaze")  # noqa: B009  pyright knows that it is not there


@pytest.mark.slow
def test_a_misspelt_name_is_answered_with_the_right_one():
    with pytest.raises(AttributeError, match=r"no attribute 'knockout'; did you mean knock_out\?"):
        _ = probe.knockout  # pyright: ignore[reportAttributeAccessIssue]


def test_short_module_names_stay():
    names = {"video": "read_video", "tubes": "Tube", "metrics": "score", "model": "load"}
    code = "; ".join(f"from probe.{module} import {name}" for module, name in names.items())
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_imports_neither_torch_nor_matplotlib():
    code = (
        "import probe, sys; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
