"""Peak memory of a process that takes one first-order step, each variant in a process of its own.

`python -m benchmarks.memory VARIANT CHANNELS LAYERS BATCH SIDE` is such a process; it prints its peak in bytes.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.measured import Measured
from benchmarks.search import ours, reference
from benchmarks.sizes import Size, size_of
from benchmarks.timing import Call, progress

ROOT = Path(__file__).parent.parent
VARIANTS: dict[str, Callable[[Size], Call]] = {
    "reference": reference,
    "ours": ours,
    "ours_checkpointed": lambda size: ours(size, checkpointing=True),
}


def peak() -> int:
    """Bytes: of the accelerator's memory where there is one, else of this process.

    Linux is asked for the high-water mark of this program: what `getrusage` says starts at the size of the process that
    started this one.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return 1024 * int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(*, quick: bool) -> Measured:
    """Peaks in megabytes, at the size "big"."""
    size = size_of("big", quick=quick)
    found = {}
    for variant in VARIANTS:
        numbers = [str(number) for number in (size.channels, size.layers, size.batch, size.side)]
        command = [sys.executable, "-m", "benchmarks.memory", variant, *numbers]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the process that measures {variant} failed:\n{done.stderr}")
        found[variant] = int(done.stdout) / 1e6
        progress(f"{variant}: peak {found[variant]:.0f} MB")
    return Measured(figures={"peak_megabytes": found})


if __name__ == "__main__":
    torch.backends.cudnn.benchmark = True  # as the process that starts this one
    VARIANTS[sys.argv[1]](Size(*map(int, sys.argv[2:])))()
    print(peak())
