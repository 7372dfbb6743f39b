"""The conformance suites of lnas."""

from lnas.testing import ImportanceSuite


class TestSnip(ImportanceSuite):
    part = "lnas_importances.gradients:snip"
    plugin = "lnas_importances"


class TestTaylor(ImportanceSuite):
    part = "lnas_importances.gradients:taylor"
    plugin = "lnas_importances"


class TestGrasp(ImportanceSuite):
    part = "lnas_importances.gradients:grasp"
    plugin = "lnas_importances"


class TestSynflow(ImportanceSuite):
    part = "lnas_importances.flow:synflow"
    plugin = "lnas_importances"
    targets = ("theta",)


class TestPerturbation(ImportanceSuite):
    part = "lnas_importances.removal:perturbation"
    plugin = "lnas_importances"
    targets = ("alpha",)
