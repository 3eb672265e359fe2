"""What the comparisons with Kafka Streams share: a broker, whole processes that are timed, and how each side is started.

CPU seconds and peak memory are what the operating system says of the process (wait4), start included.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benches/peers/kafka-streams"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MILLSTREAM = TARGET / "release/millstream"
CLASSPATH = f"{PEER}/target/kafka-streams-peer-1.jar:{PEER}/target/libs/*"
TICKS = os.sysconf("SC_CLK_TCK")

KAFKA_STREAMS = "Kafka Streams"


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    say(f"{Path(sys.argv[0]).name}: {text}")
    raise SystemExit(1)


def build():
    say("building millstream and the peer")
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "millstream"], cwd=ROOT, check=True)
    subprocess.run(["mvn", "-q", "-B", "-f", PEER / "pom.xml", "package"], check=True)


class Broker:
    """A broker of our own, or one that runs already."""

    def __init__(self, bootstrap, directory):
        self.bootstrap, self.pid, self.dir = bootstrap, None, None
        if bootstrap is None:
            command = [ROOT / "scripts/kafka", "start", "--dir", directory]
            # To a file: the broker inherits the output and would keep a pipe open.
            with tempfile.TemporaryFile("w+") as out:
                subprocess.run(command, stdout=out, check=True, env={"KAFKA_HEAP": "1g"} | os.environ)
                out.seek(0)
                said = dict(word.split("=", 1) for word in out.read().split() if "=" in word)
            self.bootstrap, self.pid, self.dir = said["bootstrap"], int(said["pid"]), said.get("dir", directory)

    def cpu(self):
        """CPU seconds that the broker has used; None where it is not ours."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        if self.pid is not None:
            subprocess.run([ROOT / "scripts/kafka", "stop", self.dir], check=False)


def measured(command, broker, log, limit):
    """Runs a command to its end; wall and CPU seconds, peak memory in MB, the broker's CPU seconds, its output."""
    before = broker.cpu()
    started = time.monotonic()
    with open(log, "wb") as errors, tempfile.TemporaryFile("w+b") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=errors)
        # Popen.wait would take the resource usage with it, so the time limit is a timer's.
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode != 0:
        tail = "\n".join(Path(log).read_text(errors="replace").splitlines()[-20:])
        late = f" (more than {limit} s)" if wall >= limit else ""
        fail(f"{' '.join(map(str, command))}\nended with {process.returncode}{late}:\n{tail}\n{text}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
        "broker": None if before is None else broker.cpu() - before,
    }, text


def peer_command(workload, options, broker, topic, state):
    """Kafka Streams: processes what the topics hold and ends; its results go to `topic`."""
    settings = {
        "bootstrap": broker.bootstrap,
        "workload": workload,
        "guarantee": "exactly_once_v2",
        "threads": options.threads,
        "commit": options.commit,
        "partitions": options.partitions,
        "out": topic,
        "forever": "false",
        "java.io.tmpdir": state,
    }
    return ["java", *(f"-D{key}={value}" for key, value in settings.items()), "-cp", CLASSPATH, "peer.Peer"]


def our_command(topology, options, broker, renamed, application, state):
    """millstream: the same; `renamed` says which topic is called what."""
    return [
        MILLSTREAM, "run", topology, "--until-end",
        "--bootstrap-servers", broker.bootstrap, "--application-id", application,
        "--threads", options.threads, "--guarantee", "exactly-once", "--commit-interval", f"{options.commit}ms",
        "--state-dir", state, *(f"--topic={name}={actual}" for name, actual in renamed.items()),
    ]  # fmt: skip


def committed(broker, topic):
    """The committed records of a topic, each partition in its order: (key, value as text)."""
    command = ["java", "-cp", CLASSPATH, "peer.Committed", broker.bootstrap, topic]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t", 1) for line in text.splitlines()]


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    return f"{os.cpu_count()} cores ({model})"


def peer_version():
    """Which Kafka Streams the peer is built with."""
    jars = (re.fullmatch(r"kafka-streams-(\d.+)\.jar", jar.name) for jar in (PEER / "target/libs").iterdir())
    return next((match[1] for match in jars if match), "")
