"""Events that are made up, in a real store: a SQLite database, read back with MLflow's own client."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import lnas_mlflow
import pytest
from lnas_mlflow import Mlflow, patience
from lnas_mlflow.figures import key
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.telemetry import get_telemetry_client

import lnas

# MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to forget
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning")

ROOT = Path(__file__).parent.parent
STAGES = (lnas.StagePlan("search", 4, 2, 1, 4, (0.5,)), lnas.StagePlan("train", 6, 3, 0, 6, ()))


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all: to make its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow copies artifacts to mlruns/ in the working directory."""
    monkeypatch.chdir(tmp_path)


def started(directory: Path, done: int = 0, config: Mapping[str, str] | None = None) -> lnas.RunStarted:
    directory.mkdir(exist_ok=True)
    return lnas.RunStarted(directory, "variant2", {"seed": "0", **(config or {})}, STAGES, done)


def epoch(stage: str, step: int, loss: float | None = 1.0, **more: float | None) -> lnas.EpochDone:
    progress = lnas.Progress(stage, "pairs", step, 4 if stage == "search" else 6, 0, 1)  # type: ignore[arg-type]
    live = 12 if stage == "search" else None
    return lnas.EpochDone(progress, 1, 2, {"loss": loss, **more}, 0.25, 0.5, live, 1.5)


def finished(directory: Path) -> lnas.Finished:
    return lnas.Finished(directory, 0.75, 0.5, "sha256:0")


def told(observer: lnas.Observer, *events: lnas.Event) -> None:
    for event in events:
        observer.notify(event)


def tracked(uri: str, directory: Path) -> Run:
    return MlflowClient(tracking_uri=uri).get_run(json.loads((directory / "mlflow.json").read_text())["run_id"])


def points(uri: str, run: Run) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(tracking_uri=uri)
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: sorted((point.step, point.value) for point in some) for name, some in history.items()}


def test_a_run_is_a_run_of_mlflow(uri: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    versions = {"lnas": "0.1.0", "python": "3.11.7", "torch": "2.14", "device": "cpu", "command": "lnas run --name secret"}
    plugins = {"plugins": [{"name": "channels", "version": "0.1.0"}]}
    (run / "environment.json").write_text(json.dumps({**versions, **plugins}))
    for name in ("genotype.json", "report.html", "model.safetensors"):
        (run / name).write_text("{}")
    pruned = lnas.Pruned(epoch("search", 4).progress, "alpha", 0.5, 0.48, {}, None)
    config = {"train.lr": "0.025", "prune": "alpha:one-shot; theta:one-shot", "observe": "mlflow,uri=secret", "x": "y" * 9000}
    observer = Mlflow(uri=uri, experiment="first")
    told(observer, started(run, config=config), epoch("search", 2, 2.0, alpha_loss=None), pruned)
    assert tracked(uri, run).info.status == "RUNNING"
    told(observer, epoch("train", 3, 0.5, **{"a|b": 1.0}), lnas.Saved(pruned.progress, run), finished(run))

    seen = tracked(uri, run)
    client = MlflowClient(tracking_uri=uri)
    assert client.get_experiment(seen.info.experiment_id).name == "first"
    assert (seen.info.run_name, seen.info.status) == ("run", "FINISHED")
    expected = {"recipe": "variant2", "seed": "0", "train.lr": "0.025", "prune": "alpha:one-shot; theta:one-shot"}
    assert seen.data.params == {**expected, "x": "y" * 5000}
    assert points(uri, seen) == {
        "search/loss": [(2, 2.0)],
        "search/validation_accuracy": [(2, 0.25)],
        "search/sparsity": [(2, 0.5)],
        "search/live_paths": [(2, 12.0)],
        "search/round/sparsity_asked": [(4, 0.5)],
        "search/round/sparsity": [(4, 0.48)],
        "train/loss": [(7, 0.5)],
        "train/a_b": [(7, 1.0)],
        "train/validation_accuracy": [(7, 0.25)],
        "train/sparsity": [(7, 0.5)],
        "final/validation_accuracy": [(10, 0.75)],
        "final/test_accuracy": [(10, 0.5)],
    }
    tags = {name: value for name, value in seen.data.tags.items() if name.startswith("lnas.")}
    assert tags == {
        "lnas.directory": str(run.resolve()),
        **{"lnas.lnas": "0.1.0", "lnas.python": "3.11.7", "lnas.torch": "2.14", "lnas.device": "cpu"},
        **{"lnas.plugin.channels": "0.1.0", "lnas.digest": "sha256:0"},
    }
    assert sorted(item.path for item in client.list_artifacts(seen.info.run_id)) == ["genotype.json", "report.html"]


def test_a_run_that_is_resumed_goes_on_where_it_was(uri: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = Mlflow(uri=uri)
    told(first, started(run), epoch("search", 2, 2.0), epoch("search", 4, 1.0))
    first.notify(lnas.Stopped(epoch("search", 4).progress, "failed", "RuntimeError: out of luck"))
    stopped = tracked(uri, run)
    assert (stopped.info.status, stopped.data.tags["lnas.error"]) == ("FAILED", "RuntimeError: out of luck")

    second = Mlflow(uri=uri)
    second.notify(started(run, 2))
    going = tracked(uri, run)
    assert (going.info.run_id, going.info.status) == (stopped.info.run_id, "RUNNING")
    assert "lnas.error" not in going.data.tags
    told(second, epoch("search", 4, 1.0), epoch("train", 3, 0.5))
    second.notify(lnas.Stopped(epoch("train", 3).progress, "interrupted", "SIGINT"))
    assert tracked(uri, run).info.status == "KILLED"

    told(Mlflow(uri=uri), started(run, 10), finished(run))
    told(Mlflow(uri=uri), started(run, 10), finished(run))  # it died before its summary was written
    seen = tracked(uri, run)
    assert (seen.info.run_id, seen.info.status) == (stopped.info.run_id, "FINISHED")
    shown = points(uri, seen)
    assert shown["search/loss"] == [(2, 2.0), (4, 1.0)]
    assert shown["train/loss"] == [(7, 0.5)]
    assert shown["final/test_accuracy"] == [(10, 0.5)]


def test_a_run_that_is_gone_from_the_store_begins_there_anew(uri: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    Mlflow(uri=uri).notify(started(run))
    gone = tracked(uri, run)
    MlflowClient(tracking_uri=uri).delete_run(gone.info.run_id)
    Mlflow(uri=uri).notify(started(run, 2))
    again = tracked(uri, run)
    (run / "mlflow.json").write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    Mlflow(uri=uri).notify(started(run, 2))
    assert len({gone.info.run_id, again.info.run_id, tracked(uri, run).info.run_id}) == 3


def test_two_runs_that_begin_at_once_make_one_experiment(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(tracking_uri=uri)
    made: list[str] = []
    real = MlflowClient.get_experiment_by_name

    def late(self: MlflowClient, name: str) -> object:
        if not made:
            made.append(client.create_experiment(name))
            return None
        return real(self, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", late)
    Mlflow(uri=uri, experiment="shared").notify(started(tmp_path / "run"))
    assert [tracked(uri, tmp_path / "run").info.experiment_id] == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"experiment": " "}, "experiment must be a name, not ' '"),
        (
            {"uri": "sqllite:///x.db"},
            "uri must be a folder or begin with one of file, http, https, .*sqlite.*, not 'sqllite:///x.db'",
        ),
        ({"uri": "https://me:secret@there/x"}, r"uri https://\*\*\*@there/x holds a password, .* set MLFLOW_TRACKING_URI to it"),
    ],
)
def test_what_is_no_place_is_refused_before_the_run(options: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(lnas.ConfigError, match=f"^{words}") as refused:
        Mlflow(**options)
    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["", "runs", "file:runs", "databricks", "postgresql+psycopg://there/x"])
def test_what_is_a_place_is_not_touched_before_the_run(uri: str, tmp_path: Path) -> None:
    Mlflow(uri=uri)
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_place_is_used_where_none_is_given(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    Mlflow().notify(started(tmp_path / "run"))
    assert tracked(uri, tmp_path / "run").info.status == "RUNNING"


def test_a_database_is_in_the_folder_that_is_current_when_the_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Mlflow(uri="sqlite:///x.db").notify(started(tmp_path / name / "run"))
        absolute = f"sqlite:///{tmp_path}/{name}/x.db"
        assert tracked(absolute, tmp_path / name / "run").info.status == "RUNNING"
        assert MlflowClient(tracking_uri=absolute).search_runs(["1"]) != []
        assert len(list((tmp_path / name).glob("x.db"))) == 1


def test_a_server_that_does_not_answer_costs_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing.  With MLflow's own settings that is 8 times 120 s and the pauses between."""
    monkeypatch.setitem(patience.UNLESS_SET, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        observer = Mlflow(uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        before = time.monotonic()
        with pytest.raises(MlflowException, match="timed out|Read timed out|Max retries exceeded"):
            observer.notify(started(tmp_path / "run"))
        assert 2 <= time.monotonic() - before < 8, "two tries"
    assert not (tmp_path / "run/mlflow.json").exists()


@pytest.mark.parametrize("uri", ["postgresql+nothing://me:secret@127.0.0.1:9/x", "sqlite:////proc/none/x.db"])
def test_a_database_that_cannot_be_used_is_tried_once(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it is tried again"))
    with pytest.raises(ConnectionError, match="^cannot use (postgresql|sqlite)") as refused:
        Mlflow().notify(started(tmp_path / "run"))
    assert "secret" not in str(refused.value)


def test_the_environment_is_put_back_and_the_users_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    before = dict(os.environ)
    with pytest.raises(KeyError), patience.impatient():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        raise KeyError
    assert dict(os.environ) == before


def test_nothing_reports_home() -> None:
    """MLflow makes a client for its telemetry when it is imported, and looks whether it may; under a test it never does."""
    assert get_telemetry_client() is None
    code = (
        "import lnas_mlflow; lnas_mlflow.Mlflow; from mlflow.telemetry import get_telemetry_client as get; print(get() is None)"
    )
    unset = {name for name in os.environ if name.startswith(("MLFLOW_", "PYTEST_")) or name in ("CI", "DO_NOT_TRACK")}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"PYTHONPATH": _path()}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_keys_are_what_mlflow_allows() -> None:
    assert key("alpha loss/ä|b.c-d_e:f") == "alpha loss/__b.c-d_e:f"


def test_the_plugin_offers_the_observer_without_torch() -> None:
    host = lnas.Host([lnas_mlflow], entry_points=False)
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("observer", "mlflow")]
    assert host.registry.get("observer", "mlflow").load() is Mlflow
    code = "import sys, lnas_mlflow; sys.exit(bool({'torch', 'mlflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _path()}).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_mlflow' has no attribute 'Flow'"):
        lnas_mlflow.Flow  # noqa: B018


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"mlflow": "lnas_mlflow"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_mlflow/__init__.py"


def test_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def _path() -> str:
    return os.pathsep.join(folder for folder in sys.path if folder)
