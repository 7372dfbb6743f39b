"""A real run of the command line, interrupted, killed and resumed, in a real store."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning")

PROGRAM = """
import os, signal, sys
import torch
import lnas
from lnas.cli import main
from lnas_mlflow import Mlflow
real = Mlflow.notify
def notify(self, event):
    real(self, event)
    if isinstance(event, lnas.StepDone) and str(event.done) == os.environ.get("AT"):
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
Mlflow.notify = notify
main(sys.argv[1:])
"""
SPACE = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3,operations=none+skip_connect+avg_pool_3x3"


def called(place: Path, *arguments: str, at: int = 0, number: int = 0) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own, which sends itself a signal after that many steps."""
    more = {"PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder), "AT": str(at), "SIGNAL": str(number)}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", **more}
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=place, env=environment, capture_output=True, text=True)


def test_interrupted_killed_and_resumed_it_is_one_run_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow makes mlruns/ in the working directory
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def status() -> str:
        run_id = json.loads((tmp_path / "runs/run/mlflow.json").read_text())["run_id"]
        return str(MlflowClient(tracking_uri=uri).get_run(run_id).info.status)

    options = "--epochs 3it:3it --batch 16 --train lr=0.05 --device cpu --name run --json"
    arguments = f"run --space {SPACE} --prune alpha:one-shot,sparsity=0.5 {options}"
    observe = f"mlflow,uri={uri},experiment=tiny"
    interrupted = called(tmp_path, *arguments.split(), "--observe", observe, at=1, number=signal.SIGTERM)
    assert interrupted.returncode == 143, interrupted.stderr
    assert status() == "KILLED"
    killed = called(tmp_path, "resume", "runs/run", at=5, number=signal.SIGKILL)
    assert killed.returncode == -9, killed.stderr
    assert status() == "RUNNING"
    resumed = called(tmp_path, "resume", "runs/run", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert "warning" not in resumed.stderr
    summary = json.loads(resumed.stdout)  # one document, and nothing else

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.tags["lnas.digest"] == summary["digest"]
    assert run.data.tags["lnas.directory"] == str((tmp_path / "runs/run").resolve())
    assert "lnas.error" not in run.data.tags
    environment_file = json.loads((tmp_path / "runs/run/environment.json").read_text())
    for plugin in environment_file["plugins"]:
        assert run.data.tags[f"lnas.plugin.{plugin['name']}"] == plugin["version"]
    assert run.data.tags["lnas.plugin.mlflow"] == "0.1.0"
    assert run.data.params["train.lr"] == "0.05" and run.data.params["recipe"] == "variant2"
    assert run.data.metrics["final/test_accuracy"] == summary["accuracy"]["test"]
    for row in map(json.loads, (tmp_path / "runs/run/metrics.jsonl").read_text().splitlines()):
        if row["event"] == "epoch":
            step = row["step"] + (3 if row["stage"] == "train" else 0)
            for name in ("loss", "validation_accuracy", "sparsity"):
                [point] = client.get_metric_history(run.info.run_id, f"{row['stage']}/{name}")
                assert (point.step, point.value) == (step, row[name])
    [kept] = [item for item in client.list_artifacts(run.info.run_id) if item.path == "genotype.json"]
    copy = client.download_artifacts(run.info.run_id, kept.path, str(tmp_path))
    assert Path(copy).read_bytes() == (tmp_path / "runs/run/genotype.json").read_bytes()


def test_a_store_that_cannot_be_used_is_one_warning(tmp_path: Path) -> None:
    arguments = (
        f"run --space {SPACE} --epochs 1it:1it --batch 16 --device cpu --json --observe mlflow,uri=sqlite:////proc/none/x.db"
    )
    done = called(tmp_path, *arguments.split())
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) >= {"accuracy", "digest"}
    [warned] = [line for line in done.stderr.splitlines() if "warning" in line]
    expected = "lnas: warning: observer mlflow of plugin mlflow (lnas-mlflow 0.1.0) failed and hears no more of this run: "
    assert warned.startswith(f"{expected}ConnectionError: cannot use sqlite:////proc/none/x.db: ")
