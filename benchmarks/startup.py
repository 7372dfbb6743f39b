"""What `lnas --help` takes: over importing the modules of others that it imports, and over the same without plugins."""

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
    """Medians of interleaved processes, and of the differences and the ratio within each round."""
    modules = json.loads(_python("-c", FOREIGN))
    variants = {
        "help": lambda: _python("-m", "lnas", "--help"),
        "help_without_plugins": lambda: _python("-m", "lnas", "--no-plugins", "--help"),
        "libraries": lambda: _python("-c", IMPORTS, *modules),
    }
    seconds = interleaved(variants, rounds=5 if quick else 15)
    rounds = list(zip(*seconds.values(), strict=True))
    more = {
        "more_than_libraries": median(all_of_it - libraries for all_of_it, _, libraries in rounds),
        "more_than_without_plugins": median(all_of_it - without for all_of_it, without, _ in rounds),
    }
    spent = {name: median(values) for name, values in seconds.items()}
    ratio = median(all_of_it / without for all_of_it, without, _ in rounds)
    return Measured({"startup_plugins": ratio}, {"startup_seconds": {**more, **spent}, "plugins": _installed()})


def _installed() -> dict[str, float]:
    """How many plugins there are, and the milliseconds that loading them takes in all."""
    from lnas import Host

    records = [record for record in Host().plugins if record.origin == "entry point"]
    return {"installed": len(records), "milliseconds": sum(record.milliseconds for record in records)}


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
