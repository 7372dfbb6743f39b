import json

import torch
from torch import nn

from lnas.cost import Cost, Latency, MultiplyAdds, Parameters, parameters


def test_parameters_are_counted_once_each_and_buffers_not_at_all() -> None:
    layer = nn.Linear(4, 4)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    network = nn.Sequential(layer, nn.BatchNorm1d(4), layer)
    with torch.no_grad():
        layer.weight[0, 0] = 0
    # weight 16, bias 4, scale 4, shift 4; the biases and the shift of a fresh network are 0
    assert parameters(network) == Parameters(28, 15 + 4)


def test_a_cost_is_one_json_document() -> None:
    cost = Cost(Parameters(10, 8), MultiplyAdds(30, 10, 20))
    document = {"schema": 1, "parameters": 10, "macs": {"dense": 30, "nonzero": 10, "structural": 20}, "latency_ms": None}
    assert json.loads(json.dumps(cost.to_json())) == document
    timed = Cost(cost.parameters, cost.macs, Latency(1.5, "cpu", 2, 1, 20))
    assert timed.to_json() == {**document, "latency_ms": 1.5}
