"""The observer: what a run tells, as event files."""

from pathlib import Path
from typing import Annotated

from torch.utils.tensorboard import SummaryWriter

import lnas
from lnas_tensorboard.figures import configuration, hyperparameters, in_markdown, scalars


class Tensorboard(lnas.Observer):
    """Writes a point for every epoch and prune round, at the number of steps since the run began.

    A run that goes on writes one more file into the same folder.  It begins with the step of the checkpoint: TensorBoard
    leaves out the points of earlier files that came after it, so that none is shown twice.
    """

    def __init__(
        self,
        dir: Annotated[str, "folder of all runs, one folder for each; empty: tensorboard/ in the run directory"] = "",
    ) -> None:
        self._folder = dir
        self._writer: SummaryWriter | None = None
        self._before: dict[str, int] = {}  # steps of the stages before, by stage
        self._configuration: dict[str, str] = {}
        self._total = 0

    def notify(self, event: lnas.Event) -> None:
        """Write down what there is of it."""
        match event:
            case lnas.RunStarted():
                self._start(event)
            case lnas.EpochDone() | lnas.Pruned():
                step = self._before[event.progress.stage] + event.progress.step
                for tag, value in scalars(event).items():
                    self._open().add_scalar(tag, value, step)
            case lnas.Saved():  # what came before it is not told again
                self._open().flush()
            case lnas.RolledBack() | lnas.Stopped():  # after a rollback the run starts again
                self._close()
            case lnas.Finished():
                self._finish(event)

    def _start(self, event: lnas.RunStarted) -> None:
        self._total = 0
        for stage in event.stages:
            self._before[stage.name] = self._total
            self._total += stage.steps
        self._configuration = configuration(event)
        run = event.directory.resolve()
        place = Path(self._folder).expanduser() / run.name if self._folder else run / "tensorboard"
        # of the files before, what lies at this step or after it is left out
        first = event.done + 1 if event.done else 0
        self._writer = SummaryWriter(str(place.resolve()), purge_step=first)
        if not event.done:
            self._writer.add_text("configuration", in_markdown(self._configuration), 0)

    def _finish(self, event: lnas.Finished) -> None:
        """The results, with what they were reached with.

        They stand one step behind the last: a run that is resumed at its last step tells them again, and those of the earlier
        file are left out.
        """
        accuracies = {"final/validation_accuracy": event.validation_accuracy, "final/test_accuracy": event.test_accuracy}
        writer = self._open()
        writer.flush()
        given = hyperparameters(self._configuration)
        writer.add_hparams(given, accuracies, run_name=".", global_step=self._total + 1)
        self._close()

    def _open(self) -> SummaryWriter:
        assert self._writer is not None, "RunStarted is the first event"
        return self._writer

    def _close(self) -> None:
        self._open().close()
        self._writer = None
