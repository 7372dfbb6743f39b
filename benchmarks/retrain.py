"""A training step of the derived network to one of DARTS' evaluation network: the cells of DARTS_V2, no auxiliary head."""

import torch

import lnas
from benchmarks.measured import Measured
from benchmarks.reference import Network
from benchmarks.reference_search import NetworkTraining
from benchmarks.sizes import device, pictures, size_of
from benchmarks.steps import to_reference


def measure(*, quick: bool) -> Measured:
    """retrain_big."""
    size, genotype = size_of("network", quick=quick), lnas.genotype("DARTS_V2")
    torch.manual_seed(0)
    plain = NetworkTraining(Network(genotype, size.task, size.channels, size.layers).to(device()))
    network = lnas.CellNetwork(genotype, size.task, channels=size.channels, layers=size.layers)
    training = lnas.WeightTraining(network.to(device()), lnas.cross_entropy)
    batch = pictures(size, 1)
    variants = {"reference": lambda: plain.step(batch), "retrain_big": lambda: training.step(batch)}
    return to_reference(variants, rounds=5 if quick else 4)
