"""One run of MLflow: the same for all the times that a run of lnas goes on."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lnas_mlflow.patience import impatient
from lnas_mlflow.place import absolute, try_database

with impatient():  # MLflow decides when it is imported whether it reports home
    from mlflow import MlflowClient, get_tracking_uri
    from mlflow.entities import Metric, Param, Run, RunTag
    from mlflow.exceptions import MlflowException

ERROR = "lnas.error"
"""The tag that says why a run stopped; gone when it goes on."""

_MOST = 100
"""Parameters in one call, at most."""
_LONGEST = 5000
"""Characters of a value, at most."""


class Tracked:
    """Made, or found again by the id in mlflow.json in the run directory.

    The client is one of its own: MLflow's active run and its tracking URI stay as they are.

    Args:
        directory: of the run.
        uri: where it is tracked; empty for what MLflow uses by itself.
        experiment: made where it is missing.

    Raises:
        ConnectionError: where a database does not answer.
        MlflowException: where a server does not, or refuses.
    """

    def __init__(self, directory: Path, *, uri: str, experiment: str) -> None:
        uri = absolute(uri or get_tracking_uri())
        try_database(uri)
        self._client = MlflowClient(tracking_uri=uri)
        self._note = directory / "mlflow.json"
        self._steps: dict[str, int] = {}
        found = self._found()
        self._new = found is None
        if found is None:
            made = self._client.create_run(self._experiment(experiment), run_name=directory.resolve().name)
            self._id = made.info.run_id
            self._remember()
        else:
            self._id = found.info.run_id
            self._client.update_run(self._id, status="RUNNING")
            if ERROR in found.data.tags:
                self._client.delete_tag(self._id, ERROR)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags; one that is there is replaced."""
        self._client.log_batch(self._id, tags=[RunTag(name, value[:_LONGEST]) for name, value in tags.items()])

    def parameters(self, values: Mapping[str, str]) -> None:
        """Log parameters; those that are there must be the same."""
        given = [Param(name, value[:_LONGEST]) for name, value in values.items()]
        for first in range(0, len(given), _MOST):
            self._client.log_batch(self._id, params=given[first : first + _MOST])

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log metrics, but for those that have a point at this step or a later one.

        A run that goes on does the steps after its checkpoint again, with the same results, and MLflow deletes no point.
        """
        now = time.time_ns() // 1_000_000
        new = [Metric(name, value, now, step) for name, value in figures.items() if self._last(name) < step]
        if new:
            self._client.log_batch(self._id, metrics=new)
            self._steps.update((metric.key, step) for metric in new)

    def end(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """The run is over, for now."""
        self._client.set_terminated(self._id, status)

    def keep(self, files: Sequence[Path]) -> None:
        """Hand files to MLflow, which copies them."""
        for path in files:
            self._client.log_artifact(self._id, str(path))

    def _last(self, name: str) -> int:
        """The step of the last point of a metric; -1 where it has none."""
        if name not in self._steps:
            history = [] if self._new else self._client.get_metric_history(self._id, name)
            self._steps[name] = max((metric.step for metric in history), default=-1)
        return self._steps[name]

    def _found(self) -> Run | None:
        """The run that was made for the directory; None where none was, or it is not at this place, or was deleted there."""
        if not self._note.exists():
            return None
        try:
            run = self._client.get_run(str(json.loads(self._note.read_text(encoding="utf-8"))["run_id"]))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _remember(self) -> None:
        aside = self._note.with_suffix(".tmp")
        aside.write_text(json.dumps({"run_id": self._id}) + "\n", encoding="utf-8")
        os.replace(aside, self._note)

    def _experiment(self, name: str) -> str:
        """The id of the experiment, which another run may make at the same moment."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = self._client.get_experiment_by_name(name)
            assert found is not None, "it was there a moment ago"
            return str(found.experiment_id)
