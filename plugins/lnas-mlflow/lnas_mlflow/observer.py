"""The observer: what a run tells, as a run of MLflow."""

import json
from typing import Annotated

import lnas
from lnas_mlflow.figures import metrics, parameters, tags
from lnas_mlflow.patience import impatient
from lnas_mlflow.place import check_uri
from lnas_mlflow.tracked import ERROR, Tracked

ARTIFACTS = ("genotype.json", "metrics.jsonl", "summary.json", "report.html")
"""Files of a run directory that are handed to MLflow in the end, those of them that are there."""


class Mlflow(lnas.Observer):
    """Tracks a run: parameters at its start, metrics at every epoch and prune round, files and the digest at its end.

    A run that goes on goes on in the same run of MLflow, whose id is kept in mlflow.json in the run directory.
    """

    def __init__(
        self,
        uri: Annotated[str, "tracking URI, http://... or sqlite:///...; empty: MLFLOW_TRACKING_URI, else as MLflow does"] = "",
        experiment: Annotated[str, "name of the experiment; made where it is missing"] = "lnas",
    ) -> None:
        check_uri(uri)
        if not experiment.strip():
            raise lnas.ConfigError(f"experiment must be a name, not {experiment!r}")
        self._uri = uri
        self._experiment = experiment
        self._tracked: Tracked | None = None
        self._before: dict[str, int] = {}  # steps of the stages before, by stage
        self._total = 0

    def notify(self, event: lnas.Event) -> None:
        """Tell MLflow what there is of it."""
        with impatient():
            match event:
                case lnas.RunStarted():
                    self._start(event)
                case lnas.EpochDone() | lnas.Pruned():
                    self._run().log(metrics(event), self._before[event.progress.stage] + event.progress.step)
                case lnas.Stopped():
                    self._run().tag({ERROR: event.error})
                    self._run().end("KILLED" if event.reason == "interrupted" else "FAILED")
                case lnas.Finished():
                    self._finish(event)

    def _start(self, event: lnas.RunStarted) -> None:
        self._total = 0
        for stage in event.stages:
            self._before[stage.name] = self._total
            self._total += stage.steps
        self._tracked = Tracked(event.directory, uri=self._uri, experiment=self._experiment)
        environment = event.directory / "environment.json"
        self._tracked.tag(tags(event, json.loads(environment.read_text(encoding="utf-8")) if environment.exists() else {}))
        self._tracked.parameters(parameters(event))

    def _finish(self, event: lnas.Finished) -> None:
        """The files last: a run whose artifacts cannot be stored is finished all the same."""
        run = self._run()
        figures = {"validation_accuracy": event.validation_accuracy, "test_accuracy": event.test_accuracy}
        run.log({f"final/{name}": value for name, value in figures.items()}, self._total)
        run.tag({"lnas.digest": event.digest})
        run.end("FINISHED")
        run.keep([path for name in ARTIFACTS if (path := event.directory / name).exists()])

    def _run(self) -> Tracked:
        assert self._tracked is not None, "RunStarted is the first event"
        return self._tracked
