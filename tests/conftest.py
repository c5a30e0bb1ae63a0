"""What tests share. The package is imported in fixtures, for which parallel runs need not wait."""

import gc
import signal
import sys
from collections import Counter

import beartype  # noqa: F401  before nnsight, which mounts `save` on `object`
import pytest
import type_checks

type_checks.install()  # before the package, whose functions are decorated when it is imported

import probe  # noqa: E402, F401  before transformers: torchvision may need its operators declared

# Torch, transformers and the tests themselves are two million objects that stay, through which the
# collector would search again and again: after every 700 new ones, if nothing else is said.
gc.set_threshold(100_000, *gc.get_threshold()[1:])

# A shell that starts tests in the background has them ignore Ctrl-C, which some of them send. The
# processes that they start would ignore it, too, and go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW = 50
"""How many usual tests a slow one lasts, roughly."""

EXHAUSTIVE = frozenset(
    {
        "test_absent.py",
        "test_analyses.py",
        "test_benchmarks.py",
        "test_detected_runs.py",
        "test_faults.py",
        "test_fuzz.py",
        "test_grammar.py",
        "test_help.py",
        "test_hostile_checkpoints.py",
        "test_models_page.py",
        "test_modes.py",
        "test_program.py",
        "test_sources.py",
        "test_token_line.py",
        "test_training.py",
        "test_workers.py",
    }
)
"""Files whose slow tests go through many cases of one kind: `make test` leaves them out, and
`make test ALL=1` runs them, as CI does."""


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked slow
def pytest_collection_modifyitems(config, items):
    """Mark tests in a browser as slow, and order the files that parallel workers share.

    Those with the most slow tests come first: a long file that starts last would leave all other
    workers without work.
    """
    for item in items:
        if item.path.name in EXHAUSTIVE and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.exhaustive)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    if not hasattr(config, "workerinput"):  # one process runs them in the order of their names
        return
    costs = Counter()
    for item in items:
        costs[item.path] += SLOW if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: -costs[item.path])


def pytest_collection_finish():
    """Keep all that is there before the first test out of collections that tests ask for."""
    gc.freeze()


@pytest.fixture(scope="session")
def organism():
    """The shipped model."""
    from probe.engine.model import load

    return load()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A checkpoint of random weights that pools patches and shares keys among heads."""
    from tiny import save_tiny_llava

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-llava"
    save_tiny_llava(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    from probe.engine.model import load

    return load(tiny_folder, dtype="float32")


@pytest.fixture(scope="session")
def clip():
    from probe.organism.world import make_clip

    return make_clip(7)


@pytest.fixture(scope="session")
def video(clip):
    return clip.video()


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process: exit code, output, errors."""
    import torch

    from probe.cli import main

    threads = torch.get_num_threads()

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["probe", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    torch.set_num_threads(threads)  # commands change it
