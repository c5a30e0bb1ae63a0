"""The model organism: a small world, the network that lives in it, and how it is raised."""

import probe.engine  # noqa: F401  declares torchvision's operators before transformers needs them
