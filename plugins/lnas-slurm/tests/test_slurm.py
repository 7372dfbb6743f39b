"""Jobs through Slurm's commands, which are stood in for by four scripts; limits, signals, and what is refused."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import lnas_slurm
import pytest
from lnas_slurm import Slurm, ended, engine, executor, job, limit

import lnas

ROOT = Path(__file__).parent.parent

COMMANDS = {
    "sbatch": """
[ -e "$FAKE/down" ] && { echo "sbatch: error: Invalid partition name specified" >&2; exit 1; }
number=$(($(cat "$FAKE/count") + 1)); echo $number > "$FAKE/count"; cp "$1" "$FAKE/script-$number"
(
    SLURM_JOB_ID=$number bash "$FAKE/script-$number"
    (cat "$FAKE/why-$number" || echo FAILED) > "$FAKE/aside-$number"
    mv "$FAKE/aside-$number" "$FAKE/state-$number"
) > /dev/null 2>&1 < /dev/null &
echo "Submitted batch job $number"
""",
    "srun": """
while :; do case "$1" in
    --output) out=$2; shift 2 ;; --error) err=$2; shift 2 ;; --*) echo "$1" >> "$FAKE/srun-$SLURM_JOB_ID"; shift ;; *) break ;;
esac; done
echo $$ > "$FAKE/step-$SLURM_JOB_ID"
exec "$@" >> "$(echo "$out" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/")" 2>> "$(echo "$err" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/")"
""",
    "sacct": """
[ -e "$FAKE/no-accounts" ] && { echo "Slurm accounting storage is disabled" >&2; exit 1; }
case "$*" in *--noheader*) exit 0 ;; esac
echo "JobID|State|NodeList"
for number in $(seq 1 "$(cat "$FAKE/count")"); do
    echo "$number|$(cat "$FAKE/state-$number" 2>/dev/null || echo RUNNING)|node1"
done
""",
    "scancel": """
echo "CANCELLED by 1000" > "$FAKE/why-$1"
(until kill -TERM "$(cat "$FAKE/step-$1")"; do sleep 0.1; done; sleep 0.5; kill -KILL "$(cat "$FAKE/step-$1")") > /dev/null 2>&1 &
""",
}


@dataclass(frozen=True)
class Fake:
    """Slurm's commands, which keep their notes in a folder."""

    folder: Path

    def flags(self, number: int) -> set[str]:
        """What a job asks for."""
        lines = (self.folder / f"script-{number}").read_text().splitlines()
        return {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}

    def noted(self, name: str) -> list[str]:
        """Lines of a note."""
        return (self.folder / name).read_text().splitlines()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "count").write_text("0")
    for name, text in COMMANDS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(executor, "LATE", 0.0)
    monkeypatch.chdir(tmp_path)
    return Fake(folder)


def wait_for(future: "Future[lnas.Outcome]") -> lnas.Outcome:
    return future.result(120)


def test_trials_are_jobs(fake: Fake, tmp_path: Path) -> None:
    """One is done, one dies, one is cancelled by `close`; sbatch and srun are told what was asked for."""
    options = {"partition": "gpu", "time": "2h30m", "gpus": 1, "memory": 1.5, "account": "us", "qos": "low", "logs": "jobs"}
    made = Slurm(3, **options, poll=0.05)  # type: ignore[arg-type]
    done = made.submit(lnas.Work("variant1 p=0.25\n#SBATCH --x", "lnas.testing.work:add", {"left": 2, "right": 3}, threads=2))
    died = made.submit(lnas.Work("dies", "subprocess:run", {"args": ("sh", "-c", "echo out of luck >&2; kill -KILL $PPID")}))
    begun = tmp_path / "begun"
    stays = made.submit(lnas.Work("stays", "lnas.testing.work:stay", {"path": str(begun), "limit": 600.0}))
    assert wait_for(done) == lnas.Outcome("done", figures={"sum": 5})
    assert wait_for(died) == lnas.Outcome("lost", "job 2: FAILED: out of luck")
    while not (begun.exists() and begun.stat().st_size):
        assert not stays.done()
        time.sleep(0.01)
    made.close()
    made.close()
    assert wait_for(stays) == lnas.Outcome("lost", "the executor was closed")
    assert fake.noted("state-3") == ["CANCELLED by 1000"]

    logs = tmp_path / "jobs"
    assert fake.flags(1) == {
        "--job-name=variant1_p=0.25_SBATCH_--x",
        *("--partition=gpu", "--time=150", "--gpus-per-node=1", "--mem=1536M", "--account=us", "--qos=low"),
        *("--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=2", "--signal=USR2@90", "--no-requeue"),
        *(f"--output={logs}/%j_0_log.out", f"--error={logs}/%j_0_log.err", "--open-mode=append"),
    }
    assert "--cpus-per-task=2" in fake.noted("srun-1") and "--cpus-per-task=1" in fake.noted("srun-2")
    with pytest.raises(RuntimeError, match="^late was submitted to an executor that is closed$"):
        made.submit(lnas.Work("late", "lnas.testing.work:add", {"left": 2, "right": 3}))


def test_what_is_not_given_is_left_to_slurm(fake: Fake) -> None:
    made = Slurm(1, poll=0.05)
    made.submit(lnas.Work("sum", "no_such_module:at_all", {}))
    made.close()
    left_out = ("--time", "--mem", "--gpus", "--account", "--qos", "--partition", "--wckey")
    assert not [flag for flag in fake.flags(1) if flag.startswith(left_out)]
    assert (Path.cwd() / "slurm-logs").is_dir()


def test_a_job_that_is_not_taken_is_an_error_the_first_time_and_a_loss_later(fake: Fake) -> None:
    (fake.folder / "down").touch()
    made = Slurm(1, poll=0.05)
    work = lnas.Work("sum", "no_such_module:at_all", {})
    words = "^the job was not taken: sbatch: error: Invalid partition name specified; look at partition, time"
    with pytest.raises(lnas.ConfigError, match=words):
        made.submit(work)
    (fake.folder / "down").unlink()
    made.submit(work)
    (fake.folder / "down").touch()
    assert made.submit(work).result(0) == lnas.Outcome(
        "lost", "the job was not taken: sbatch: error: Invalid partition name specified"
    )
    made.close()


def test_a_machine_without_slurm_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake.folder / "no-accounts").touch()
    advice = "start the sweep where jobs are submitted from, or set cluster=local to try it on this machine"
    words = f"cluster=slurm needs sacct to say what became of a job: Slurm accounting storage is disabled; {advice}"
    with pytest.raises(lnas.ConfigError, match=f"^{re.escape(words)}$"):
        Slurm(1)
    monkeypatch.setenv("PATH", str(fake.folder / "none"))
    words = f"cluster=slurm needs sbatch, srun, sacct, scancel; there is no sbatch, no srun, no sacct, no scancel here; {advice}"
    with pytest.raises(lnas.ConfigError, match=f"^{re.escape(words)}$"):
        Slurm(1)


def test_in_this_process_there_is_one_job_at_a_time() -> None:
    with pytest.raises(lnas.ConfigError, match="^workers must be 1 with cluster=debug, which does one job after the other"):
        Slurm(8, cluster="debug")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": -1}, "gpus must be at least 0, not -1"),
        ({"memory": -1.0}, "memory must be GB, at least 0, not -1.0"),
        ({"memory": float("inf")}, "memory must be GB, at least 0, not inf"),
        ({"poll": 0.0}, "poll must be seconds above 0, not 0.0"),
        ({"cluster": "pbs"}, "cluster must be one of slurm, local, debug, not 'pbs'"),
        ({"cluster": "local", "logs": "/proc/none"}, "logs=/proc/none cannot be made: No such file or directory; name a folder"),
        *(
            ({"time": text}, f"time must be minutes, or a time such as 2h30m, 1:30:00 or 1-12:00:00, not {text!r}")
            for text in ("0", "soon", "1h2", "-5", "1.5h", "1:2:3:4", "0:00:00", "²")
        ),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(lnas.ConfigError) as refused:
        Slurm(1, **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith(words) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        *(("90", 90), ("2h30m", 150), ("1d", 1440), ("1d1m", 1441), ("61s", 2), ("60s", 1)),
        *(("30:00", 30), ("30:01", 31), ("1:30:00", 90), ("1-12", 2160), ("1-12:30", 2190), ("1-12:30:01", 2191)),
    ],
)
def test_a_limit_is_whole_minutes(text: str, minutes: int) -> None:
    assert limit.minutes_of(text) == minutes


def stopping(*numbers: int, state: str = "stopped") -> lnas.Outcome:
    """What `job.attempt` gives for a run that is sent these signals."""
    seen: list[int] = []

    def do(self: lnas.Work) -> lnas.Outcome:
        former = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        for number in numbers:
            os.kill(os.getpid(), number)
        signal.signal(signal.SIGTERM, former)
        return lnas.Outcome(state, "a checkpoint is saved", {"steps": len(seen)})  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lnas.Work, "do", do)
        patch.setenv("OMP_NUM_THREADS", "7")
        patch.setenv("MKL_NUM_THREADS", "7")
        return job.attempt(lnas.Work("run", "a:b", {}, threads=3))


def test_a_run_that_slurm_stops_is_lost_so_that_it_is_asked_for_again() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)]
    reason = "Slurm ended the job with {}: a checkpoint is saved"
    term, notice = signal.SIGTERM, signal.SIGUSR2
    assert stopping(term) == lnas.Outcome("lost", reason.format("SIGTERM"), {"steps": 1})
    assert stopping(notice) == lnas.Outcome("lost", reason.format("SIGTERM and SIGUSR2"), {"steps": 1})
    assert stopping() == lnas.Outcome("stopped", "a checkpoint is saved", {"steps": 0})
    assert stopping(term, state="done") == lnas.Outcome("done", "a checkpoint is saved", {"steps": 1})
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)]
    assert signal.set_wakeup_fd(-1) == -1


def test_a_job_has_the_threads_of_the_work_and_ends_by_a_signal_outside_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def do(self: lnas.Work) -> lnas.Outcome:
        seen.extend((os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], signal.getsignal(signal.SIGTERM)))
        raise ValueError("out of sorts")

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setattr(lnas.Work, "do", do)
    assert job.attempt(lnas.Work("run", "a:b", {}, threads=3)) == lnas.Outcome("failed", "ValueError: out of sorts")
    assert seen == ["3", "3", signal.SIG_DFL]


class Preempted(engine.submitit.SlurmJob[object]):
    """A job of which Slurm says so; with --no-requeue it is over, for submitit it is not."""

    state = "PREEMPTED"  # type: ignore[assignment]

    def done(self, force_check: bool = False) -> bool:
        return False


def test_a_job_that_is_preempted_is_over(tmp_path: Path) -> None:
    one = Preempted(tmp_path, "77")
    engine.submitit.SlurmJob.watcher.clear()
    assert ended.is_over(one)
    (tmp_path / "77_0_log.err").write_text("step 1\nstep 2\n\n")
    assert ended.lost(one) == lnas.Outcome("lost", "job 77: PREEMPTED: step 2")


def test_what_a_job_raised_outside_the_work_is_a_failure(tmp_path: Path) -> None:
    """As where lnas is not installed on the node: submitit keeps the error as the result, and prints it."""
    one = engine.submitit.LocalExecutor(tmp_path)
    one.update_parameters(timeout_min=1)
    raised = one.submit(os.stat, str(tmp_path / "none"))
    assert isinstance(raised, engine.submitit.LocalJob) and isinstance(
        raised.exception(), engine.submitit.core.utils.FailedJobError
    )
    came = ended.outcome_of(raised)
    assert came is not None and came.state == "failed"
    assert came.reason == f"FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path}/none'"


def test_nothing_is_printed_by_submitit() -> None:
    code = (
        "import json, logging, os, sys; from lnas_slurm import Slurm; logging.getLogger('submitit').error('x');"
        " print(json.dumps(os.environ.get('SUBMITIT_LOG_LEVEL')))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    environment.pop("SUBMITIT_LOG_LEVEL", None)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment)
    assert (json.loads(done.stdout), done.stderr, done.returncode) == (None, "", 0)
    assert logging.getLogger("submitit").level == logging.CRITICAL


def test_the_plugin_offers_the_executor_without_torch() -> None:
    host = lnas.Host([lnas_slurm], entry_points=False)
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("executor", "slurm")]
    assert host.registry.get("executor", "slurm").load() is Slurm
    code = "import sys, lnas_slurm; sys.exit(bool({'torch', 'submitit'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_slurm' has no attribute 'Queue'"):
        lnas_slurm.Queue  # noqa: B018


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"slurm": "lnas_slurm"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_slurm/__init__.py"
