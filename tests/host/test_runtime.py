import json
import math
import platform
import random
from collections import namedtuple

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnas.core.errors import ConfigError, DataError, UnknownNameError
from lnas.core.learner import Learner
from lnas.core.types import Metrics, State
from lnas.host import runtime
from lnas.host.evaluate import accuracy

CPU = torch.device("cpu")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


def draws() -> list[float]:
    """One number of every global generator."""
    return [float(torch.rand(())), random.random(), random.gauss(0, 1), float(numpy.random.rand()), float(numpy.random.randn())]


def test_devices_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    names = {"cpu": "cpu", "auto": "cuda:0", "cuda": "cuda:0", "cuda:1": "cuda:1"}
    assert {name: str(runtime.device(name)) for name in names} == names
    with pytest.raises(ConfigError, match="device 'cuda:2' is not there; this machine has: auto, cpu, cuda:0, cuda:1$"):
        runtime.device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "gpu", "", "cpu:0", "meta", "cuda:-1"])
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.device("auto") == CPU
    with pytest.raises(ConfigError, match=f"device {name!r} is not there; this machine has: auto, cpu$"):
        runtime.device(name)


def test_float32_is_the_loss_itself() -> None:
    assert runtime.precise(loss, "float32", CPU) is loss


def test_bf16_multiplies_in_bf16() -> None:
    network = nn.Linear(64, 8)
    batch = torch.randn(16, 64), torch.zeros(16, dtype=torch.int64)
    seen: list[torch.dtype] = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    value = runtime.precise(loss, "bf16", CPU)(network, batch)
    assert seen == [torch.bfloat16]
    assert value.dtype == torch.float32
    rounded = functional.linear(batch[0].bfloat16(), network.weight.bfloat16(), network.bias.bfloat16())
    assert torch.equal(value, functional.cross_entropy(rounded.float(), batch[1]))
    value.backward()
    assert network.weight.grad is not None and network.weight.grad.dtype == torch.float32


def test_float64_casts_the_batch() -> None:
    network = nn.Linear(3, 2).to(runtime.dtype("float64"))
    batch = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    value = runtime.precise(loss, "float64", CPU)(network, batch)
    assert value.dtype == torch.float64
    assert torch.equal(value, loss(network, (batch[0].double(), batch[1])))


def test_cast_reaches_into_containers_and_leaves_the_rest() -> None:
    Pair = namedtuple("Pair", "x y")
    x, y = torch.ones(2), torch.ones(2, dtype=torch.int64)
    cast = runtime.cast({"a": [x, (x, y)], "b": Pair(x, y), "c": "text", "d": None}, torch.float64)
    assert cast["a"][0].dtype == cast["a"][1][0].dtype == cast["b"].x.dtype == torch.float64
    assert cast["a"][1][1] is y and cast["b"].y is y
    assert isinstance(cast["b"], Pair) and isinstance(cast["a"][1], tuple)
    assert (cast["c"], cast["d"]) == ("text", None)


def test_a_precision_that_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown precision 'fp16'; .*there are: bf16, float32, float64, tf32"):
        runtime.precise(loss, "fp16", CPU)
    with pytest.raises(ConfigError, match="tf32 needs a CUDA device, not cpu; use float32 or bf16"):
        runtime.precise(loss, "tf32", CPU)


@gpu
@pytest.mark.gpu
def test_float32_on_a_gpu_is_float32() -> None:
    device = runtime.device("cuda")
    runtime.precise(loss, "tf32", device)
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    runtime.precise(loss, "float32", device)
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32


def test_the_seed_decides_every_global_generator() -> None:
    with runtime.undisturbed():
        runtime.seed_globally(7)
        first = draws()
        runtime.seed_globally(7)
        assert draws() == first
        runtime.seed_globally(8)
        assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_a_random_state_goes_through_a_checkpoint_and_back() -> None:
    with runtime.undisturbed():
        runtime.seed_globally(1)
        random.gauss(0, 1), numpy.random.randn()  # each leaves a second number waiting
        state = runtime.random_state()
        json.dumps({**state["python"], "words": None})
        expected = [draws() for _ in range(3)]
        runtime.seed_globally(2)
        runtime.restore_random_state(state)
        assert [draws() for _ in range(3)] == expected


def test_undisturbed_puts_the_state_back_after_an_error_too() -> None:
    with runtime.undisturbed():
        runtime.seed_globally(3)
        expected = draws()
        runtime.seed_globally(3)
        with pytest.raises(KeyError), runtime.undisturbed():
            draws()
            raise KeyError
        assert draws() == expected


def test_the_environment_is_json_and_names_what_decides_the_bytes() -> None:
    document = runtime.environment(CPU, command=["lnas", "run", "--name", "a b"], plugins=[{"name": "extras", "version": "1"}])
    assert json.loads(json.dumps(document)) == document
    assert list(document) == [
        *("python", "platform", "lnas", "torch", "device", "device_name", "threads", "command", "plugins", "started")
    ]
    assert document["command"] == "lnas run --name 'a b'"
    assert document["python"] == platform.python_version()
    assert runtime.fingerprint(CPU).items() <= document.items()
    assert document["threads"] == torch.get_num_threads()


class Fixed(Learner):
    """Predicts with a network; records nothing, learns nothing."""

    optimizers = ()

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.loss = loss

    def step(self, train: object, val: object = None) -> Metrics:
        return {}

    def predict(self, x: Tensor) -> Tensor:
        return self.module(x)

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        pass


def right(network: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
    torch.rand(3)  # what a careless one might do
    return (network(batch[0]).argmax(1) == batch[1]).sum(), len(batch[1])


def test_accuracy_counts_examples_not_batches() -> None:
    learner = Fixed(nn.Identity())
    x = torch.eye(3)
    batches = [(x, torch.tensor([0, 1, 0])), (x[:1], torch.tensor([0]))]
    assert accuracy(learner, batches, right) == 3 / 4
    with pytest.raises(DataError, match="no examples to measure"):
        accuracy(learner, [], right)


def test_accuracy_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    network.train()
    network[1].eval()  # frozen on purpose
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batches = [(torch.randn(5, 4), torch.zeros(5, dtype=torch.int64)) for _ in range(3)]
    random_before = torch.get_rng_state()
    values = {accuracy(Fixed(network), batches, right) for _ in range(3)}
    assert len(values) == 1, "dropout was on"
    assert torch.equal(torch.get_rng_state(), random_before)
    assert [module.training for module in network.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_modes_come_back_after_an_error() -> None:
    network = nn.Linear(1, 1)

    def fails(network: object, batch: object) -> tuple[Tensor, int]:
        raise KeyError

    with pytest.raises(KeyError):
        accuracy(Fixed(network), [None], fails)
    assert network.training


def test_accuracy_of_all_and_of_none() -> None:
    x, y = torch.eye(3), torch.arange(3)
    assert accuracy(Fixed(nn.Identity()), [(x, y)], right) == 1.0
    assert accuracy(Fixed(nn.Identity()), [(-x, y)], right) == 0.0
    assert math.isclose(accuracy(Fixed(nn.Identity()), [(x, torch.tensor([0, 0, 0]))], right), 1 / 3)


def test_a_core_is_left_unless_the_user_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        runtime.leave_a_core()
        assert torch.get_num_threads() == threads
        monkeypatch.delenv("OMP_NUM_THREADS")
        runtime.leave_a_core()
        assert torch.get_num_threads() == 3
        monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})
        runtime.leave_a_core()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
