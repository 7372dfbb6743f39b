import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.cost import latency


class Slow(nn.Module):
    """Takes as many milliseconds as the list says, call by call."""

    def __init__(self, *naps: float) -> None:
        super().__init__()
        self.naps = list(naps)
        self.batches: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        self.batches.append(x)
        time.sleep(self.naps.pop(0) / 1000)
        return x


def test_the_median_of_the_passes_behind_the_warm_up_is_told() -> None:
    network = Slow(90, 90, 20, 60, 20)
    found = latency(network, (3, 4), batch=2, repeats=3, warmup=2)
    assert 20 <= found.ms < 60
    assert (found.device, found.threads, found.batch, found.repeats) == ("cpu", torch.get_num_threads(), 2, 3)
    assert network.naps == []
    assert all(batch.shape == (2, 3, 4) for batch in network.batches)
    assert network.training


def test_the_random_state_does_not_move_and_the_noise_is_the_same() -> None:
    before = torch.get_rng_state()
    networks = [Slow(0, 0), Slow(0, 0)]
    for network in networks:
        latency(network, (3,), repeats=1, warmup=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(networks[0].batches[0], networks[1].batches[1])


def test_a_network_in_double_precision_is_measured_in_it() -> None:
    network = nn.Sequential(nn.Linear(4, 3).double(), Slow(0))
    assert latency(network, (4,), device="cpu", repeats=1, warmup=0).ms > 0
    assert network[1].batches[0].dtype == torch.float64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"device": "nowhere"}, "no device 'nowhere' here"),
        ({"device": "meta"}, "nothing runs on the meta device"),
    ],
)
def test_a_measurement_that_cannot_be_made_is_refused(options: dict[str, Any], message: str) -> None:
    network = nn.Linear(4, 3)
    with pytest.raises(ConfigError, match=message):
        latency(network, (4,), **options)
    assert network.weight.device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_a_network_goes_to_the_device_and_comes_back() -> None:
    network = nn.Linear(4, 3)
    assert latency(network, (4,), device="cuda").device == "cuda:0"
    assert network.weight.device.type == "cpu"
