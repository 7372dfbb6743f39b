"""What a network costs: parameters, multiply-adds, measured latency.

Counted are the multiply-adds of convolutions and linear layers in one forward pass of a batch of one, in evaluation mode.
Not counted are biases, batch norms, pooling, activations, sums, bilinear layers and products of two activations (an
attention layer's four projections count, its two products of queries, keys and values do not).

The counter listens to torch's operations and not to modules: a convolution called as a function counts, a layer called
twice counts twice, an auxiliary head that answers in training only does not count.  A linear layer is any matrix product
with a factor that is made of the network's own tensors alone: a weight, a slice of it, a weight times a mask.

A layer of weight W, applied at n places (of its output, or of its input where it is transposed), takes

    dense        |W| · n
    nonzero      the entries of W that are not 0, times n
    structural   |W'| · n, W' being W without the filters that are all 0 and without the input channels that are all 0

In a grouped convolution W' is taken group by group.  `structural` looks at each layer alone: a filter that is gone does not
take its channel out of the layer behind it.  Hence nonzero <= structural <= dense.
"""

from lnas.cost.comparison import Comparison, Difference, against_ptflops
from lnas.cost.counter import multiply_adds
from lnas.cost.figures import Cost, Latency, MultiplyAdds, Parameters, parameters
from lnas.cost.nni import nni_compat
from lnas.cost.timing import latency

__all__ = [
    "Comparison",
    "Cost",
    "Difference",
    "Latency",
    "MultiplyAdds",
    "Parameters",
    "against_ptflops",
    "latency",
    "multiply_adds",
    "nni_compat",
    "parameters",
]
