"""What a model of a given shape needs, by arithmetic: bytes and floating point operations (FLOPs).

Only what grows is counted: matrices of weights and what is kept for each token, not biases, norms
or the workspace of one layer. A multiplication with its addition is two FLOPs. Throughout, S is
the number of tokens read, L the decoder layers, h the hidden width, m the width inside the
perceptron, b the bytes of a number.
"""

from dataclasses import dataclass

from models import Shape

FLOAT32 = 4
"""Bytes of a number in which norms are computed and rows of attention are handed out."""

FLASH_BACKWARD = 2.5
"""Backward over forward FLOPs of fused attention: five products, one of them again, for two."""


@dataclass(frozen=True)
class PaperModel:
    """A LLaVA-NeXT-Video model on paper."""

    shape: Shape
    number: int = 2
    """Bytes of a number: 2 for bfloat16."""

    @property
    def layer_weights(self) -> int:
        """Numbers in the matrices of a decoder layer: 4 h^2 + 3 h m."""
        return 4 * self.shape.hidden**2 + 3 * self.shape.hidden * self.shape.intermediate

    @property
    def vision_layer_weights(self) -> int:
        """Numbers in the matrices of a layer of the vision tower: 4 h^2 + 2 h m, of its own."""
        shape = self.shape
        return 4 * shape.vision_hidden**2 + 2 * shape.vision_hidden * shape.vision_intermediate

    @property
    def projector_weights(self) -> int:
        """Numbers that turn what the vision tower makes into visual tokens: h_vision h + h^2."""
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
        """Bytes of the keys and values of all that was read: 2 L S h b."""
        return 2 * self.shape.layers * tokens * self.shape.hidden * self.number

    def rows(self, tokens: int, visual: int) -> int:
        """Bytes of a reading's attention: layers x heads x text tokens x visual tokens, float32."""
        return self.shape.layers * self.shape.heads * tokens * visual * FLOAT32

    def matrices(self, tokens: int) -> int:
        """Bytes of the matrices that eager attention gives out: L x heads x S^2 x b."""
        return self.shape.layers * self.shape.heads * tokens**2 * self.number

    def graph(self, tokens: int, layer: int) -> int:
        """Bytes kept for the gradient of vectors that enter a layer.

        (L - layer) S (2 h x 4 + (4 h + 3 m) b): the inputs of two norms in float32; queries, keys,
        values and outputs of attention; in the perceptron the gate before and after its
        nonlinearity, and what it gates. Frozen weights keep no inputs of their own.
        """
        shape = self.shape
        norms = 2 * shape.hidden * FLOAT32
        others = (4 * shape.hidden + 3 * shape.intermediate) * self.number
        return (shape.layers - layer) * tokens * (norms + others)

    def vision_flops(self, frames: int) -> int:
        """FLOPs of the vision tower and projector; four patches make a visual token."""
        shape = self.shape
        patches = 4 * shape.cells**2
        seen = patches + 1  # the class token
        layer = 2 * seen * self.vision_layer_weights + 4 * seen**2 * shape.vision_hidden
        projected = 2 * shape.cells**2 * self.projector_weights
        return frames * (shape.vision_layers * layer + projected)

    def read_flops(self, tokens: int, layer: int = 0) -> int:
        """FLOPs of reading S tokens from a layer on: (L - layer) (2 S (4 h^2 + 3 h m) + 4 S^2 h).

        The second term is the full square of attention; kernels that leave out what lies in the
        future do half of it.
        """
        linear = 2 * tokens * self.layer_weights
        return (self.shape.layers - layer) * (linear + 4 * tokens**2 * self.shape.hidden)

    def learn_flops(self, tokens: int, layer: int) -> int:
        """FLOPs of a learning step: reading, and back again above the layer.

        The way back costs as much as the way there for frozen weights, which have no gradient of
        their own, and 2.5 times as much for attention.
        """
        above = self.shape.layers - layer
        attention = round(4 * tokens**2 * self.shape.hidden * FLASH_BACKWARD)
        back = above * (2 * tokens * self.layer_weights + attention)
        return self.read_flops(tokens, layer) + back
