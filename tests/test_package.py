"""What is installed and what is archived is all that lies in the package, and the tests with it."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIDE = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt", "Makefile")
BUILD = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"


def list_files(folder):
    """List the files of a folder of the project, but those that Python writes there itself."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    names = {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}
    return {name for name in names if not name.endswith((".pyc", ".pyo"))}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the wheel and the source archive, built as pip does, without a network."""
    copy = tmp_path_factory.mktemp("project")
    for name in SIDE:
        shutil.copy(ROOT / name, copy)
    for name in ("probe", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return copy / "dist"


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA")))
        commands = archive.read(next(n for n in archive.namelist() if n.endswith("points.txt")))
    assert names == list_files("probe")
    assert "probe/py.typed" in names
    assert b"License-File: LICENSE" in about
    assert b"Requires-Python: >=3.11" in about
    assert b"probe = probe.cli:main" in commands


@pytest.mark.slow
def test_the_source_archive_holds_package_and_tests_with_their_helpers(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        files = (member.name for member in opened.getmembers() if member.isfile())
        names = {name.partition("/")[2] for name in files}
    assert list_files("probe") | list_files("tests") | set(SIDE) <= names
