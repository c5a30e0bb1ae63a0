"""How the documentation is rendered: `make docs`. Nothing here needs a network."""

from importlib import metadata

import probe  # noqa: F401  readies torchvision before anything else is imported

project = "Grounding Probe"
release = version = metadata.version("grounding-probe")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
default_role = "code"  # docstrings put names between single backquotes

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
myst_heading_anchors = 3
