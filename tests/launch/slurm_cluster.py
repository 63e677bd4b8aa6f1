"""A Slurm of several nodes on this machine: its own daemons, in a folder of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

NEEDED = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"]

CONFIGURATION = """
ClusterName=flux
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job that is queued again begins a second after its credentials have expired: otherwise after two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=8
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
# Not shared: PMIx of two nodes on one machine would meet in it.
TmpFS={folder}/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=1
PartitionName=all Nodes=ALL Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL State=UP PriorityTier=2
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Two cores a node. Use as a context; `environment` is what Slurm's commands need."""

    def __init__(self, folder, nodes):
        self.folder = Path(folder)
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin:/sbin"
        self.daemons = []

    def __enter__(self):
        try:
            self.configure()
            self.daemon("munged", "--foreground", f"--socket={self.folder}/munge.socket",
                        f"--key-file={self.folder}/munge.key", f"--pid-file={self.folder}/munge.pid",
                        f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")
            self.wait("munged", (self.folder / "munge.socket").exists)
            self.daemon("slurmctld", "-D")
            for node in self.nodes:
                self.daemon(*self.named(node), "slurmd", "-D", "-N", node)
            self.wait("slurmd", lambda: self.idle() == len(self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Jobs first: the processes of a job outlive their slurmd.
        if all(daemon.poll() is None for daemon in self.daemons):
            self.run("scancel", "--full", "--signal=KILL", f"--user={os.getuid()}")
            deadline = time.monotonic() + 20
            while self.run("squeue", "-h").stdout and time.monotonic() < deadline:
                time.sleep(0.1)
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def configure(self):
        self.folder.chmod(0o755)  # munged wants its socket to be reachable for everybody
        for name in ["state", *(f"{kind}-{node}" for kind in ("spool", "tmp") for node in self.nodes)]:
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        port, *ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname()
        lines = [CONFIGURATION.format(folder=self.folder, host=host, port=port, user=os.getuid())]
        for node, port in zip(self.nodes, ports):
            lines.append(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=1000")
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")

    def named(self, node):
        """What gives the processes of a node its name, where this user may: they then take the others for far away."""
        if subprocess.run(["unshare", "--uts", "true"], stderr=subprocess.DEVNULL).returncode != 0:
            return []
        return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', node]

    def daemon(self, *command):
        with open(self.folder / "daemons.log", "a") as log:
            self.daemons.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def wait(self, what, there):
        deadline = time.monotonic() + 30
        while not there():
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self.daemons):
                logs = "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"no {what} after {self.daemons[-1].args}:\n{logs}")
            time.sleep(0.1)

    def idle(self):
        return int(self.run("sinfo", "-h", "-t", "idle", "-o", "%D").stdout or 0)

    def run(self, *command, **environment):
        return subprocess.run([str(word) for word in command], env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=300)

    def log_of(self, number):
        """What the daemons said of a job."""
        lines = (self.folder / "daemons.log").read_text().splitlines()
        return "\n".join(line for line in lines if re.search(rf"(JobId=|[Jj]ob ){number}\b", line))

    def job(self, number):
        """What Slurm knows of a job."""
        words = self.run("scontrol", "show", "job", number, "-o").stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def missing():
    """Programs that this machine lacks."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [name for name in NEEDED if shutil.which(name, path=path) is None]
