"""What a step asks of a GPU: how often the CPU launches a kernel, or a whole graph of them."""

import re
from collections.abc import Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import Call

LAUNCH = re.compile(r"cu(da)?(Graph)?Launch")
"""cudaLaunchKernel, cuLaunchKernelEx, cudaGraphLaunch and their like, as the profiler names the calls of the runtime."""


def launches(variants: Mapping[str, Call]) -> dict[str, dict[str, float]]:
    """{"launches_per_step": count of each variant}, each called once more; nothing where there is no GPU."""
    if not torch.cuda.is_available():
        return {}
    return {"launches_per_step": {name: _count(call) for name, call in variants.items()}}


def _count(call: Call) -> float:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as record:
        call()
        torch.cuda.synchronize()
    return float(sum(event.count for event in record.key_averages() if LAUNCH.match(event.key)))
