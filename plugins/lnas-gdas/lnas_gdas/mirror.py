"""alpha on the CPU.  Which path is computed is decided there, and depends on alpha: it must be copied once an update."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Mirror:
    """Copies of tensors on the CPU, as they were after the last update of their optimizer.

    On a CUDA device the copy is put into its queue right after the update of alpha, in front of theta's.  Whoever reads it
    waits for that copy alone, while the device goes on with theta.

    Args:
        tensors: by name.
        optimizer: whose steps change them.
    """

    def __init__(self, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.tensors = tensors
        self._copies: dict[str, Tensor] = {}
        if any(tensor.is_cuda for tensor in tensors.values()):
            self._copies = {name: torch.empty_like(tensor, device="cpu").pin_memory() for name, tensor in tensors.items()}
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            optimizer.register_step_post_hook(lambda *_: self.refresh())
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy anew; to be called where something else than the optimizer has changed a tensor."""
        if self._copies:
            for name, copy in self._copies.items():
                copy.copy_(self.tensors[name], non_blocking=True)
            self._copied.record()

    def read(self) -> dict[str, Tensor]:
        """The values, as tensors of the caller's own."""
        if not self._copies:
            return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.tensors.items()}
        self._copied.synchronize()
        return {name: copy.clone() for name, copy in self._copies.items()}
