"""Leave out what takes gigabytes, unless it is asked for."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Deselect these tests where the marks asked for (`-m`) do not name them.

    Not by `addopts`: a `-m` of the command line, which every target has, would replace it.
    """
    if "shapes" in config.option.markexpr:
        return
    left = [item for item in items if not item.get_closest_marker("shapes")]
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = left
