"""Hosts on one machine: network namespaces with host names and addresses of their own, on one bridge. Open MPI takes each for a node,
and starts its daemons there by an agent in place of ssh. A host can be cut off, two be given a slow link (delayed_link.py). Needs root,
iproute2 and a kernel with veth, bridges and network namespaces."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import delayed_link

TUNED = """echo reno >/proc/sys/net/ipv4/tcp_congestion_control
echo 4096 4194304 33554432 >/proc/sys/net/ipv4/tcp_rmem
"""  # for a link: a window of its rate times its round trip from the start, and no probing of either later

ENTER = """#!/bin/sh
# {0} HOST COMMAND…: runs the command on the host, as ssh would
exec nsenter --net=/run/netns/{prefix}$1 unshare --mount --uts sh -c '
  mount --bind {folder}/hosts /etc/hosts && hostname "$0" && exec sh -c "$*"' "$@"
"""

PORT = 7000
ANSWER = f"""
import socket
listener = socket.create_server(("", {PORT}))
print("up", flush=True)
stream = listener.accept()[0].makefile("rwb")
for size in map(int, iter(stream.readline, b"")):
    stream.read(size)
    stream.write(b"x")
    stream.flush()
"""
ASK = f"""
import socket, sys, time
connection = socket.create_connection((sys.argv[1], {PORT}))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for size in map(int, sys.argv[2:]):
    text = b"%d\\n" % size + bytes(size)
    start = time.monotonic()
    connection.sendall(text)
    assert connection.recv(1) == b"x"
    print(time.monotonic() - start)
"""


def missing():
    """Why there can be no hosts here; None: there can."""
    if os.geteuid() != 0:
        return "hosts as network namespaces need root"
    for program in ("ip", "nsenter", "unshare"):
        if not shutil.which(program):
            return f"hosts as network namespaces need {program}"
    name = f"rw{os.getpid()}t"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        return "this kernel or container allows no network namespaces"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


def missing_for_links():
    return missing() or (None if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "slow links between hosts need /dev/net/tun")


def keepalives(hang_timeout):
    """What lets mpirun notice that a host is gone some seconds after ranks have had their time to say so, as `rankwise submit` has it."""
    probes = (hang_timeout + 4) // 2
    return {f"OMPI_MCA_oob_tcp_keepalive_{name}": str(value) for name, value in (("time", 2), ("intvl", 2), ("probes", probes))}


class Hosts:
    """n0, n1 … of 10.88.0.1 …; a context manager."""

    def __init__(self, count):
        self.names = [f"n{i}" for i in range(count)]
        self.prefix = f"rw{os.getpid()}"
        self.links = []

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rankwise-hosts-"))
        lines = ["127.0.0.1 localhost", *(f"{self.address(i)} {name}" for i, name in enumerate(self.names))]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")
        self.agent = self.folder / "enter"
        self.agent.write_text(ENTER.format("enter", prefix=self.prefix, folder=self.folder))
        self.agent.chmod(0o755)
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._ip("link", "set", self._bridge, "up")
        for i, name in enumerate(self.names):
            space = self.prefix + name
            self._ip("netns", "add", space)
            self._ip("link", "add", self._port(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            self._ip("link", "set", self._port(name), "master", self._bridge, "up")
            for words in (["addr", "add", f"{self.address(i)}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
                self._ip("-n", space, *words)
        return self

    def __exit__(self, *_):
        for link in self.links:
            link.communicate(timeout=10)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.prefix + name], capture_output=True)
            subprocess.run(["ip", "link", "delete", self._port(name)], capture_output=True)
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True)
        shutil.rmtree(self.folder)

    def mpirun(self, ranks_of, *words):
        """The words that start words on ranks_of[i] ranks of host i; mpirun itself runs on n0."""
        hosts = ",".join(f"{name}:{ranks}" for name, ranks in zip(self.names, ranks_of) if ranks)
        options = {"plm_rsh_agent": self.agent, "btl": "self,vader,tcp", "btl_tcp_if_include": "eth0", "oob_tcp_if_include": "eth0",
                   "hwloc_base_binding_policy": "none", "rmaps_base_mapping_policy": "slot"}
        return self.on(0, "mpirun", "--allow-run-as-root", "-n", sum(ranks_of), "--host", hosts,
                       *(word for name, value in options.items() for word in ("--mca", name, value)), *words)

    def on(self, host, *words):
        """The words that run words on a host."""
        return [str(self.agent), self.names[host], *(f"'{word}'" for word in map(str, words))]

    def cut(self, host):
        """Off the bridge: it keeps its slow links."""
        self._ip("link", "set", self._port(self.names[host]), "down")

    def link(self, a, b, bits_per_second, delay):
        """All between the two hosts passes a link of its own (delayed_link.py), whose delay is in seconds one way; their addresses
        stay. Returns its process."""
        ends = [f"{self.prefix}l{a}{b}", f"{self.prefix}l{b}{a}"]
        words = [sys.executable, pathlib.Path(__file__).parent / "delayed_link.py", *ends, str(bits_per_second), str(delay)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.links.append(process)
        assert process.stdout.readline() == "up\n", "the link did not start"
        for here, there, end in ((a, b, ends[0]), (b, a, ends[1])):
            space = self.prefix + self.names[here]
            self._ip("link", "set", end, "netns", space)
            self._ip("-n", space, "link", "set", end, "mtu", str(delayed_link.MTU), "up")
            self._ip("netns", "exec", space, "sh", "-ec", TUNED)
            self._ip("-n", space, "route", "add", self.address(there), "dev", end, "src", self.address(here))
        return process

    def round_trips(self, sizes):
        """Seconds until so many bytes from host 0 were answered by host 1, with one."""
        answer = subprocess.Popen(self.on(1, sys.executable, "-c", ANSWER), stdout=subprocess.PIPE, text=True)
        assert answer.stdout.readline() == "up\n"
        ask = subprocess.run(self.on(0, sys.executable, "-c", ASK, self.address(1), *sizes), check=True, capture_output=True, text=True, timeout=60)
        answer.communicate(timeout=10)
        return list(map(float, ask.stdout.split()))

    def processes(self):
        """Numbers of the processes that run on the hosts."""
        lists = [subprocess.run(["ip", "netns", "pids", self.prefix + name], capture_output=True, text=True, check=True) for name in self.names]
        return [int(word) for found in lists for word in found.stdout.split()]

    @property
    def _bridge(self):
        return f"{self.prefix}b"

    def _port(self, name):
        return f"{self.prefix}{name}"

    @staticmethod
    def address(i):
        return f"10.88.0.{i + 1}"

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True)
