"""A real Kafka and a real Pinot on this machine: their jars, their processes, and the end of those, however the test ends."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
POM = ROOT / "tests/pinot/cluster/pom.xml"
LIBS = TARGET / "pinot/libs"
SECONDS_TO_START = 120
# Pinot 0.11 is older than Java 17's walls.
OPENED = ("java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text", "java.util", "sun.nio.ch", "jdk.internal.ref")


class NotHere(Exception):
    """What is needed cannot be had on this machine."""


def fetch(pom, libs):
    """Has Maven bring the jars of `pom` into `libs`, once."""
    stamp = libs / f".complete-{zlib.crc32(pom.read_bytes()):08x}"
    if stamp.exists():
        return
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    try:
        run = subprocess.run(
            ["mvn", "-q", "-B", "-f", pom, copy, f"-DoutputDirectory={libs}"], capture_output=True, text=True, timeout=900
        )
    except FileNotFoundError:
        raise NotHere("Maven is missing") from None
    except subprocess.TimeoutExpired:
        raise NotHere("Maven has not brought the jars in 15 minutes") from None
    if run.returncode:
        lines = [line for line in (run.stdout + run.stderr).splitlines() if "ERROR" in line]
        raise NotHere("\n".join(lines[:1]) or f"Maven ended with {run.returncode}")
    stamp.touch()


def free_ports(count):
    """Ports below the range from which the system takes those of outgoing connections."""
    found = []
    for port in range(12000 + os.getpid() * 37 % 20000, 65536):
        with socket.socket() as probe:
            # As servers do it, else a connection that has just been closed would be taken for one of them.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("", port))
                found.append(port)
        if len(found) == count:
            return found
    raise NotHere("there are no free ports")


def dies_with_us():
    """What is started gets a kill when this process ends, even by a kill."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def until(what, ready, seconds, process=None):
    """Waits until `ready` gives something, and gives it."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        if process is not None and process.poll() is not None:
            sys.exit(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return answer


class Cluster(contextlib.ExitStack):
    """Everything that was started ends with the `with` block."""

    def __init__(self, directory):
        super().__init__()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))

    def start(self, name, command, **more):
        with open(self.directory / f"{name}.log", "w") as log:
            more = {"stdout": log, "cwd": self.directory, "start_new_session": True} | more
            process = subprocess.Popen(command, stderr=log, preexec_fn=dies_with_us, **more)
        self.callback(process.wait)
        self.callback(process.kill)
        return process

    def start_kafka(self):
        """Its address. It ends when its standard input does."""
        kafka = self.start(
            "kafka", [ROOT / "scripts/kafka", "run", "--while-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.callback(kafka.stdin.close)
        line = kafka.stdout.readline()
        if not line:
            sys.exit("Kafka did not start: " + (self.directory / "kafka.log").read_text()[-2000:])
        return line.split()[0].removeprefix("bootstrap=")

    def launch_pinot(self):
        """Starts ZooKeeper, and controller, broker and server of Pinot in one process; does not wait for the latter."""
        zookeeper, *ports = free_ports(5)
        zoo = {"dataDir": self.directory / "zookeeper", "clientPort": zookeeper, "clientPortAddress": "127.0.0.1"}
        zoo |= {"tickTime": 2000, "admin.enableServer": "false"}
        self.java("zookeeper", 128, "org.apache.zookeeper.server.ZooKeeperServerMain", self.write("zoo.cfg", zoo))
        until("ZooKeeper", lambda: listens(zookeeper), SECONDS_TO_START)
        return Pinot(self, zookeeper, *ports)

    def java(self, name, heap, main, *arguments):
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        small = [f"-Xmx{heap}m", "-XX:+UseSerialGC", "-Duser.timezone=UTC"]
        return self.start(name, ["java", *small, *opened, "-cp", f"{LIBS}/*", main, *map(str, arguments)])

    def write(self, name, settings):
        path = self.directory / name
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Pinot:
    """Controller, broker and server, in one process to save memory and time."""

    def __init__(self, cluster, zookeeper, controller, broker, server, admin):
        common = {"pinot.cluster.name": "millstream", "pinot.zk.server": f"127.0.0.1:{zookeeper}"}
        roles = {
            "controller": {
                "controller.helix.cluster.name": "millstream",
                "controller.zk.str": f"127.0.0.1:{zookeeper}",
                "controller.host": "127.0.0.1",
                "controller.port": controller,
                "controller.data.dir": cluster.directory / "controller",
            },
            "broker": {"pinot.broker.hostname": "127.0.0.1", "pinot.broker.client.queryPort": broker},
            "server": {
                "pinot.server.netty.host": "127.0.0.1",
                "pinot.server.netty.port": server,
                "pinot.server.adminapi.port": admin,
                "pinot.server.grpc.enable": "false",
                "pinot.server.instance.dataDir": cluster.directory / "server/data",
                "pinot.server.instance.segmentTarDir": cluster.directory / "server/tars",
            },
        }
        files = [
            cluster.write(f"{role}.conf", {"pinot.service.role": role.upper()} | common | settings)
            for role, settings in roles.items()
        ]
        self.controller, self.broker = f"http://127.0.0.1:{controller}", f"http://127.0.0.1:{broker}"
        self.health = [f"{self.controller}/health", f"{self.broker}/health", f"http://127.0.0.1:{admin}/health"]
        self.process = cluster.java(
            "pinot", 512, "org.apache.pinot.tools.admin.PinotAdministrator", "StartServiceManager",
            "-clusterName", "millstream", "-zkAddress", f"127.0.0.1:{zookeeper}", "-port", -1, "-bootstrapConfigPaths", *files,
        )  # fmt: skip

    def wait(self):
        until("Pinot", lambda: all(map(answers, self.health)), SECONDS_TO_START, self.process)

    def query(self, sql):
        """The rows; numbers keep all their digits."""
        body = json.dumps({"sql": sql}).encode()
        asked = urllib.request.Request(f"{self.broker}/query/sql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found = json.load(answer, parse_float=Decimal)
        if found.get("exceptions"):
            raise RuntimeError(f"{sql}: {found['exceptions'][0]}")
        return found["resultTable"]["rows"]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
