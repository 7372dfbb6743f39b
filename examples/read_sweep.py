"""Read a sweep back: a record for each trial, the run behind it, and what may be concluded from the seeds there are.

python examples/read_sweep.py [STEPS]
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200

with tempfile.TemporaryDirectory() as folder:
    out = Path(folder, "mine")
    rows = ["--recipe", "baseline,variant1", "--sparsity", "0.5", "--seeds", "1"]  # a verdict asks for three
    space = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"
    small = ["--space", space, "--epochs", f"{steps}it:{steps}it"]
    command = [sys.executable, "-m", "lnas", "sweep", *rows, *small, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)

    sweep = lnas.Sweep(out)
    print(sweep)

    records = sweep.to_records()  # sweep.to_dataframe() is the same for pandas
    for row in sweep.results.rows:
        tests = [record["test"] for record in records if record["row"] == row.label]
        print(f"{row.label}: test accuracy {fmean(tests):.3f}, n = {len(tests)}")

    for name, run in sweep.runs().items():
        parameters = sum(parameter.numel() for parameter in run.network().parameters())
        print(f"{name}: loss {run.to_records()[-1]['loss']:.3f} after its last epoch, {parameters:,} parameters")

    for verdict in sweep.verdicts():
        print(f"{verdict.claim}: {verdict.sentence}")
        assert verdict.word == "no verdict"
