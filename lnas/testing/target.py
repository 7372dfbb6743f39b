"""What every mask target keeps."""

from lnas.testing.target_apply import TargetApply
from lnas.testing.target_masks import TargetMasks
from lnas.testing.target_runs import TargetRuns


class TargetSuite(TargetRuns, TargetApply, TargetMasks):
    """The rules of mask targets.

        class TestBiases(TargetSuite):
            part = "lnas_biases:Biases"
            plugin = "lnas_biases"

    A target whose stage is "search" is tried on DARTS on two tiny spaces, one whose stage is "train" on the training of two tiny
    networks; `modules`, `learner`, `pairs` and `loss` may be overridden, where it needs others.
    """
