"""A real Slurm of one node, for a test: munged, slurmctld and slurmd on this machine, in a temporary folder and on ports of their own.
Partition `low` is preempted and requeued by partition `high`. Needs root and Debian's munge, slurmctld, slurmd and slurm-client."""

import contextlib
import datetime
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CPUS, GPUS = 4, 2
CONFIG = """
ClusterName=rankwise
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
TmpFS={folder}/tmp
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=10
KillWait=20
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=20 MaxTime=60 State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
"""


def missing():
    """Why there can be no Slurm here; None: there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol") if not shutil.which(name)]
    return f"not installed: {', '.join(absent)} (./launcher/setup --tests installs them)" if absent else None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Slurm:
    """A context manager; .environment is what its commands need."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-slurm-"))
        self.folder.chmod(0o755)
        self.daemons = {}
        host = socket.gethostname().split(".")[0]
        for name in ("state", "spool", "tmp"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=self.folder, ports=free_ports(2), cpus=CPUS, gpus=GPUS))
        for number in range(GPUS):
            (self.folder / f"gpu{number}").touch()  # in place of a device: Slurm but counts them
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.environment = dict(os.environ, SLURM_CONF=str(self.folder / "slurm.conf"), OMPI_ALLOW_RUN_AS_ROOT="1",
                                OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        try:
            files = (f"--{name}={self.folder}/munge.{ending}"
                     for name, ending in (("socket", "socket"), ("key-file", "key"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")))
            self.start("munged", "--foreground", "--force", *files)
            self.wait("munged", lambda: (self.folder / "munge.socket").exists())
            self.start("slurmctld", "-D")
            self.start("slurmd", "-D")
            self.wait("an idle node", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in ("slurmd", "slurmctld", "munged"):
            self.stop(name)
        self.signal(signal.SIGKILL)  # steps that are left
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *words):
        log = open(self.folder / f"{name}.out", "ab")
        self.daemons[name] = subprocess.Popen([name, *words], env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=self.folder)
        log.close()

    def stop(self, name):
        if daemon := self.daemons.pop(name, None):
            daemon.kill()
            daemon.wait(timeout=20)

    def processes(self, name=""):
        """Numbers of what slurmd has started, stepds and jobs; of programs of that name only."""
        sessions = {daemon.pid for daemon in self.daemons.values()}  # slurmctld has helpers
        ours = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                started_here = ours in (process / "environ").read_bytes().split(b"\0") and os.getsid(int(process.name)) not in sessions
                if started_here and name in (process / "comm").read_text():
                    found.append(int(process.name))
            except OSError:  # it has ended
                continue
        return found

    def signal(self, number, name=""):
        for process in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def lose_node(self):
        """As if its power went: slurmd and all that it had started."""
        self.stop("slurmd")
        self.signal(signal.SIGKILL, "slurmstepd")  # first, for these would tell of the others' end
        self.wait("end of the node's processes", lambda: self.signal(signal.SIGKILL) or not self.processes())
        self.wait("node that is down", lambda: "down" in self.run("sinfo", "-h", "-o", "%T", check=False), 90)

    def boot_node(self):
        """It comes back as nodes without disks do: nothing of what steps had kept there."""
        for name in ("spool", "tmp"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir()
        self.start("slurmd", "-D")

    def run(self, *words, check=True):
        """What a command of Slurm prints."""
        done = subprocess.run(list(map(str, words)), env=self.environment, capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{words[0]} {done.returncode}: {done.stdout}{done.stderr}\n{self.logs()}")
        return done.stdout

    def field(self, job, name):
        words = dict(word.partition("=")[::2] for word in self.run("scontrol", "-o", "show", "job", job).split())
        return words[name]

    def logs(self):
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self.folder.glob("slurm*.[lo]*"))

    def wait(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {seconds} s\n{self.logs()}")
            time.sleep(0.1)

    def seconds_left(self, job):
        end = datetime.datetime.strptime(self.field(job, "EndTime"), "%Y-%m-%dT%H:%M:%S")
        return (end - datetime.datetime.now()).total_seconds()

    def has_nothing_to_tell(self):
        said = self.run("sdiag")
        return all(re.search(rf"{what}: +0\n", said) for what in ("Agent queue size", "Agent count"))

    def wait_for_end(self, job, seconds=180):
        """Its state at the end. A requeued job need not wait for the minutes that Slurm would have it wait, only until nothing of its last start is
        left that would meet the next one: the step's PMIx socket, and what slurmctld has still to tell the node (to kill that job)."""
        def ended():
            state = self.field(job, "JobState")
            waits = state == "PENDING" and self.field(job, "Reason") == "BeginTime"
            if waits and not list((self.folder / "spool").glob(f"stepd.slurm.pmix.{job}.*")) and self.has_nothing_to_tell():
                self.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)
            return state in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")

        self.wait(f"end of job {job}", ended, seconds)
        return self.field(job, "JobState")
