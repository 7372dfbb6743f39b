"""The rules that hold for every search space."""

from lnas.testing import SpaceSuite


class TestNasBench201Space(SpaceSuite):
    part = "lnas_nasbench201.space:NasBench201Space"
    plugin = "lnas_nasbench201"
    options = {"channels": 2, "cells": 1, "network_channels": 2, "network_cells": 1}
