import os

import pytest

from lnas.builtin.executors import Serial
from lnas.builtin.process_executor import Process
from lnas.core.errors import ConfigError
from lnas.core.executor import Outcome, Work


def interrupt() -> None:
    raise KeyboardInterrupt


def number() -> Outcome:
    return Outcome("done", figures={"process": os.getpid()})


def test_serial_does_it_here_and_now() -> None:
    future = Serial(1).submit(Work("here", f"{__name__}:number", {}))
    assert future.done()
    assert future.result() == Outcome("done", figures={"process": os.getpid()})


def test_serial_lets_an_interrupt_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        Serial(1).submit(Work("stop", f"{__name__}:interrupt", {}))


def test_serial_takes_one_worker_and_names_the_engine_for_several() -> None:
    with pytest.raises(ConfigError) as caught:
        Serial(2)
    assert str(caught.value) == "workers must be 1, not 2: serial runs one trial at a time; choose the executor process"


@pytest.mark.parametrize("engine", [Serial, Process])
@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(engine: type[Serial] | type[Process], workers: int) -> None:
    with pytest.raises(ConfigError, match=f"workers must be at least 1, not {workers}"):
        engine(workers)
