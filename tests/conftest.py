import beartype  # noqa: F401  before nnsight, which mounts `save` on `object`
