"""What `lnas --help` takes, over importing the modules that it imports of others: libraries and Python's own."""

import json
import subprocess
import sys
from statistics import median

from benchmarks.measured import Measured
from benchmarks.timing import interleaved

FOREIGN = """
import contextlib, io, json, runpy, sys
sys.argv = ["lnas", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    runpy.run_module("lnas", run_name="__main__")
print(json.dumps([name for name in sys.modules if name.split(".")[0] not in ("lnas", "__main__")]))
"""
IMPORTS = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
"""


def measure(*, quick: bool) -> Measured:
    """startup_seconds, and the two that it is the difference of: medians of interleaved processes."""
    modules = json.loads(_python("-c", FOREIGN))
    variants = {
        "help": lambda: _python("-m", "lnas", "--help"),
        "libraries": lambda: _python("-c", IMPORTS, *modules),
    }
    seconds = interleaved(variants, rounds=5 if quick else 15)
    more = median(all_of_it - libraries for all_of_it, libraries in zip(*seconds.values(), strict=True))
    spent = {name: median(values) for name, values in seconds.items()}
    return Measured(figures={"startup_seconds": {"more_than_libraries": more, **spent}})


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
