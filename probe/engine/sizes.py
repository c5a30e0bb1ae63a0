"""Bytes and floating point operations (FLOPs) of a model of given sizes, by arithmetic.

Only the parts that grow are counted: matrices of weights and what is kept for each token, not
biases, norms or the workspace of one layer. A multiplication with its addition is two FLOPs.
Throughout, S is the number of tokens read, L the decoder layers, h the hidden width, a the width of
all heads together, m the width inside the perceptron, b the bytes of a number. Tests compare each
formula with what torch counts on real modules.
"""

from dataclasses import dataclass

FLOAT32 = 4
"""Bytes of a number in norms and in rows of attention, which are computed in float32."""

FLASH_BACKWARD = 2.5
"""Backward over forward FLOPs of fused attention.

Forward are two matrix products; backward are four, and one forward product again.
"""


@dataclass(frozen=True)
class VisionSizes:
    """The sizes of a vision tower and of the projector after it."""

    layers: int
    hidden: int

    layer_weights: int
    """Numbers in the matrices of a layer."""

    projector_weights: int
    """Numbers in the matrices between the tower and the visual tokens."""


@dataclass(frozen=True)
class ModelSizes:
    """The sizes of a video language model, and the costs that follow from them."""

    layers: int
    hidden: int
    intermediate: int
    heads: int

    groups: int
    """Heads of keys and values; several heads of queries may share one."""

    head_width: int

    layer_weights: int
    """Numbers in the matrices of a decoder layer that a token is multiplied with; of a mixture of
    experts those that one token meets."""

    other_weights: int
    """Numbers of the embeddings, the head, and the experts that a token does not meet."""

    vision: VisionSizes

    number: int = 2
    """Bytes of a number: 2 for bfloat16."""

    @property
    def numbers(self) -> int:
        """All numbers in the matrices."""
        tower = self.vision.layers * self.vision.layer_weights + self.vision.projector_weights
        return self.layers * self.layer_weights + tower + self.other_weights

    @property
    def weights(self) -> int:
        """Bytes of all weights, if none is held in fewer bits."""
        return self.number * self.numbers

    def keys_and_values(self, tokens: int) -> int:
        """Return the bytes of keys and values of all tokens read: 2 L S (groups x width) b."""
        return 2 * self.layers * tokens * self.groups * self.head_width * self.number

    def rows(self, tokens: int, visual: int) -> int:
        """Return the bytes of a reading: layers x heads x text tokens x visual tokens, float32."""
        return self.layers * self.heads * tokens * visual * FLOAT32

    def matrices(self, tokens: int) -> int:
        """Return the bytes of the matrices of eager attention: L x heads x S^2 x b."""
        return self.layers * self.heads * tokens**2 * self.number

    def graph(self, tokens: int, layer: int) -> int:
        """Return the bytes kept for the gradient of vectors that are added at a layer.

        (L - layer) S (2 h x 4 + (2 a + 2 (groups x width) + 3 m) b): the inputs of two norms in
        float32; queries, keys, values and outputs of attention; in the perceptron the gate before
        and after its nonlinearity, and the values it gates. Matrix products with frozen weights
        keep no inputs.
        """
        norms = 2 * self.hidden * FLOAT32
        attended = 2 * (self.heads + self.groups) * self.head_width
        others = (attended + 3 * self.intermediate) * self.number
        return (self.layers - layer) * tokens * (norms + others)

    def vision_flops(self, frames: int, patches: int, tokens: int) -> int:
        """Return the FLOPs of vision tower and projector.

        Args:
            frames: The number of frames, none of which sees another.
            patches: The patches of a frame.
            tokens: The visual tokens of a frame.
        """
        vision = self.vision
        layer = 2 * patches * vision.layer_weights + 4 * patches**2 * vision.hidden
        return frames * (vision.layers * layer + 2 * tokens * vision.projector_weights)

    def read_flops(self, tokens: int, layer: int = 0) -> int:
        """Return the FLOPs of reading S tokens from a layer on.

        (L - layer) (2 S x weights of a layer + 4 S^2 a). The second term is the full square of
        attention; kernels that leave out future tokens do half of it.
        """
        linear = 2 * tokens * self.layer_weights
        return (self.layers - layer) * (linear + self._attention_flops(tokens))

    def learn_flops(self, tokens: int, layer: int) -> int:
        """Return the FLOPs of a learning step: a forward pass, and a backward pass to the layer.

        The backward pass costs as much as the forward pass for matrices, whose frozen weights need
        no gradient, and 2.5 times as much for attention.
        """
        attention = round(self._attention_flops(tokens) * FLASH_BACKWARD)
        back = (self.layers - layer) * (2 * tokens * self.layer_weights + attention)
        return self.read_flops(tokens, layer) + back

    def _attention_flops(self, tokens: int) -> int:
        return 4 * tokens**2 * self.heads * self.head_width
