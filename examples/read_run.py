"""Read a finished run back: its network as a plain module, its architecture, its masks and its numbers.

python examples/read_run.py [STEPS]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import lnas

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400

with tempfile.TemporaryDirectory() as folder:
    small = "cells,channels=2,layers=3,nodes=2,network_channels=4,network_layers=3"
    options = [
        "--prune",
        "theta:one-shot,sparsity=0.5",
        "--space",
        small,
        "--epochs",
        f"{steps}it",
        "--out",
        folder,
        "--name",
        "mine",
    ]
    subprocess.run([sys.executable, "-m", "lnas", "run", *options], check=True, capture_output=True)
    run = Path(folder, "mine")

    summary = json.loads((run / "summary.json").read_text())
    print(f"test accuracy {summary['accuracy']['test']:.3f}, sparsity {summary['sparsity']['theta']['attained']:.3f}")

    genotype = lnas.Genotype.loads((run / "genotype.json").read_text())
    print("normal cell:", [gene.operation for gene in genotype.groups["normal"]])

    network = lnas.load_model(run)  # a plain torch.nn.Module, in evaluation mode
    digits = lnas.digits()
    x, y = digits.batch("test", torch.arange(digits.size("test")), None)
    with torch.no_grad():
        accuracy = int((network(x).argmax(1) == y).sum()) / len(y)
    print(f"measured again: {accuracy:.3f}")
    assert accuracy == summary["accuracy"]["test"]

    for line in (run / "metrics.jsonl").read_text().splitlines()[-1:]:
        print("last epoch:", json.loads(line)["validation_accuracy"])
