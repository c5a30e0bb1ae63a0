"""Bytes and floating point operations (FLOPs) of a model of a given shape, by arithmetic.

Only the parts that grow are counted: matrices of weights and what is kept for each token, not
biases, norms or the workspace of one layer. A multiplication with its addition is two FLOPs.
Throughout, S is the number of tokens read, L the decoder layers, h the hidden width, m the width
inside the perceptron, b the bytes of a number.
"""

from dataclasses import dataclass

from models import Shape

FLOAT32 = 4
"""Bytes of a number in norms and in rows of attention, which are computed in float32."""

FLASH_BACKWARD = 2.5
"""Backward over forward FLOPs of fused attention.

Forward are two matrix products; backward are four, and one forward product again.
"""


@dataclass(frozen=True)
class PaperModel:
    """Costs of a LLaVA-NeXT-Video model, computed from its sizes."""

    shape: Shape
    number: int = 2
    """Bytes of a number: 2 for bfloat16."""

    @property
    def layer_weights(self) -> int:
        """Numbers in the matrices of a decoder layer: 4 h^2 + 3 h m."""
        return 4 * self.shape.hidden**2 + 3 * self.shape.hidden * self.shape.intermediate

    @property
    def vision_layer_weights(self) -> int:
        """Numbers in the matrices of a vision tower layer: 4 h^2 + 2 h m, with its own h and m."""
        shape = self.shape
        return 4 * shape.vision_hidden**2 + 2 * shape.vision_hidden * shape.vision_intermediate

    @property
    def projector_weights(self) -> int:
        """Numbers in the projector from vision tower to visual tokens: h_vision h + h^2."""
        return self.shape.vision_hidden * self.shape.hidden + self.shape.hidden**2

    @property
    def weights(self) -> int:
        """Bytes of weights: layers of decoder and tower, projector, embeddings and head."""
        shape = self.shape
        numbers = (
            shape.layers * self.layer_weights
            + shape.vision_layers * self.vision_layer_weights
            + self.projector_weights
            + 2 * shape.vocabulary * shape.hidden
        )
        return self.number * numbers

    def memory(self, tokens: int) -> int:
        """Return the bytes of keys and values of all tokens read: 2 L S h b."""
        return 2 * self.shape.layers * tokens * self.shape.hidden * self.number

    def rows(self, tokens: int, visual: int) -> int:
        """Return the bytes of a reading: layers x heads x text tokens x visual tokens, float32."""
        return self.shape.layers * self.shape.heads * tokens * visual * FLOAT32

    def matrices(self, tokens: int) -> int:
        """Return the bytes of the matrices of eager attention: L x heads x S^2 x b."""
        return self.shape.layers * self.shape.heads * tokens**2 * self.number

    def graph(self, tokens: int, layer: int) -> int:
        """Return the bytes kept for the gradient of vectors that are added at a layer.

        (L - layer) S (2 h x 4 + (4 h + 3 m) b): the inputs of two norms in float32; queries, keys,
        values and outputs of attention; in the perceptron the gate before and after its
        nonlinearity, and the values it gates. Matrix products with frozen weights keep no inputs.
        """
        shape = self.shape
        norms = 2 * shape.hidden * FLOAT32
        others = (4 * shape.hidden + 3 * shape.intermediate) * self.number
        return (shape.layers - layer) * tokens * (norms + others)

    def vision_flops(self, frames: int) -> int:
        """Return the FLOPs of vision tower and projector; four patches make a visual token."""
        shape = self.shape
        patches = 4 * shape.cells**2
        seen = patches + 1  # the class token
        layer = 2 * seen * self.vision_layer_weights + 4 * seen**2 * shape.vision_hidden
        projected = 2 * shape.cells**2 * self.projector_weights
        return frames * (shape.vision_layers * layer + projected)

    def read_flops(self, tokens: int, layer: int = 0) -> int:
        """Return the FLOPs of reading S tokens from a layer on.

        (L - layer) (2 S (4 h^2 + 3 h m) + 4 S^2 h). The second term is the full square of
        attention; kernels that leave out future tokens do half of it.
        """
        linear = 2 * tokens * self.layer_weights
        return (self.shape.layers - layer) * (linear + 4 * tokens**2 * self.shape.hidden)

    def learn_flops(self, tokens: int, layer: int) -> int:
        """Return the FLOPs of a learning step: a forward pass, and a backward pass to the layer.

        The backward pass costs as much as the forward pass for matrices, whose frozen weights need
        no gradient, and 2.5 times as much for attention.
        """
        above = self.shape.layers - layer
        attention = round(4 * tokens**2 * self.shape.hidden * FLASH_BACKWARD)
        back = above * (2 * tokens * self.layer_weights + attention)
        return self.read_flops(tokens, layer) + back
