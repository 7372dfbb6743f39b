import pytest
import torch
from torch import nn

from lnas.host.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(10**16),
        lambda: torch.empty(10**12, 10**12),
        lambda: torch.empty(2**80),
        lambda: nn.Linear(10**14, 10),
        lambda: bytearray(2**62),
    ],
)
def test_what_is_too_large_is_known(make: object) -> None:
    with pytest.raises((RuntimeError, TypeError, MemoryError, OverflowError)) as caught:
        make()  # type: ignore[operator]
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


@pytest.mark.parametrize("error", [RuntimeError("x"), TypeError("x"), ValueError("can't allocate memory"), KeyError("x")])
def test_other_errors_are_others(error: Exception) -> None:
    assert not is_out_of_memory(error)
