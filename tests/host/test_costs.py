import pytest
import torch
from torch import nn

import lnas
from lnas.core.errors import PluginFailedError, UnknownNameError
from lnas.core.types import Task
from lnas.host.costs import all_measured, checked_measures, measured
from lnas.host.plugins import Host
from lnas.host.spec import Spec

SOURCE = """
    from typing import Annotated
    import torch
    import lnas

    @lnas.hookimpl
    def lnas_costs(register):
        for name in ("layers", "vandal", "words", "refuses", "tensor"):
            register(name, f"lnas_weigh:{name}")

    def layers(network, task, *, each: Annotated[float, "of a layer"] = 1.0):
        assert not network.training
        assert network(torch.zeros(1, *task.shape)).shape == (1, task.classes)
        return each * sum(1 for _ in network.modules())

    def vandal(network, task):
        print("vandal")
        torch.manual_seed(3)
        for parameter in network.parameters():
            parameter.data.zero_()
        raise OSError("no meter")

    def words(network, task):
        return float("nan")

    def refuses(network, task):
        raise lnas.ConfigError("not for this one")

    def tensor(network, task):
        return torch.tensor(2.5)
"""


@pytest.fixture
def host(install) -> Host:
    install("weigh", SOURCE)
    return Host()


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).train()


TASK = Task((3, 2, 2), 3)


def test_a_cost_is_measured_with_its_options(host: Host) -> None:
    assert measured(host.registry, Spec.parse("layers"), network(), TASK) == 3.0
    assert measured(host.registry, Spec.parse("weigh/layers,each=0.5"), network(), TASK) == 1.5


def test_a_cost_that_fails_is_named_and_the_network_is_as_it_was(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    subject = network()
    before, state = [p.clone() for p in subject.parameters()], torch.get_rng_state()
    with pytest.raises(PluginFailedError, match=r"^cost vandal of plugin weigh \(lnas-weigh 0\.3\) raised OSError: no meter$"):
        measured(host.registry, Spec("vandal"), subject, TASK)
    assert all(torch.equal(a, b) for a, b in zip(before, subject.parameters(), strict=True)) and subject.training
    assert torch.equal(state, torch.get_rng_state())
    assert capsys.readouterr() == ("", "vandal\n")
    with pytest.raises(PluginFailedError, match="cost words .* broke its contract: a cost must be a finite number, not nan"):
        measured(host.registry, Spec("words"), subject, TASK)


def test_at_the_end_of_a_run_a_cost_that_fails_is_a_warning(host: Host) -> None:
    specs = [Spec("words"), Spec.parse("layers,each=2")]
    with pytest.warns(RuntimeWarning, match="cost words of plugin weigh .* must be a finite number, not nan; it is left out"):
        figures = all_measured(host.registry, specs, network(), TASK)
    assert figures == {"words": None, "layers,each=2": 6.0}
    with pytest.warns(RuntimeWarning, match="^cost refuses of plugin weigh .*: not for this one; it is left out"):
        assert all_measured(host.registry, [Spec("refuses"), Spec("tensor")], network(), TASK) == {"refuses": None, "tensor": 2.5}


def test_a_warning_that_is_an_error_ends_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert all_measured(host.registry, [Spec("words")], network(), TASK) == {"words": None}  # as under -W error, here
    assert capsys.readouterr().err.startswith("lnas: warning: cost words of plugin weigh (lnas-weigh 0.3) broke its contract")


def test_names_and_options_are_checked_before_the_work(host: Host) -> None:
    assert checked_measures(host.registry, [Spec("layers")]) == (Spec("layers"),)
    with pytest.raises(UnknownNameError, match="unknown cost 'layer'; did you mean 'layers'"):
        checked_measures(host.registry, [Spec("layer")])
    with pytest.raises(lnas.ConfigError, match="cost layers: each must be a number, not 'x'"):
        checked_measures(host.registry, [Spec.parse("layers,each=x")])
