"""The costs of a LLaVA-NeXT-Video model of a given shape, by the arithmetic of the package."""

from models import Shape

from probe.engine.sizes import ModelSizes, VisionSizes


def make_sizes(shape: Shape, number: int = 2) -> ModelSizes:
    """Make the sizes of a model.

    In a decoder layer are 4 h^2 + 3 h m numbers, in one of the vision tower 4 h^2 + 2 h m with its
    own h and m, and in the projector h_vision h + h^2.

    Args:
        shape: The shape.
        number: The bytes of a number: 2 for bfloat16.
    """
    eyes = shape.vision_hidden
    return ModelSizes(
        layers=shape.layers,
        hidden=shape.hidden,
        intermediate=shape.intermediate,
        heads=shape.heads,
        groups=shape.heads,
        head_width=shape.hidden // shape.heads,
        layer_weights=4 * shape.hidden**2 + 3 * shape.hidden * shape.intermediate,
        other_weights=2 * shape.vocabulary * shape.hidden,
        vision=VisionSizes(
            layers=shape.vision_layers,
            hidden=eyes,
            layer_weights=4 * eyes**2 + 2 * eyes * shape.vision_intermediate,
            projector_weights=eyes * shape.hidden + shape.hidden**2,
        ),
        number=number,
    )


def compute_vision_flops(shape: Shape, frames: int) -> int:
    """Compute the FLOPs of vision tower and projector; four patches make a visual token."""
    tokens = shape.cells**2
    # One more than the patches of a frame: the class token.
    return make_sizes(shape).vision_flops(frames, 4 * tokens + 1, tokens)
