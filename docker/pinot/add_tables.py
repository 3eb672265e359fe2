#!/usr/bin/env python3
"""Adds the tables that lie beside this file to a Pinot, or brings those that are there up to date.

    add_tables.py CONTROLLER [--kafka HOST:PORT,...] [--wait SECONDS]

CONTROLLER is the address of Pinot's controller, such as http://localhost:9000. --kafka says where Pinot's servers reach
Kafka, instead of the address in the files. Until --wait is over (300) a controller that does not answer yet, and a topic
that nobody has made yet, are waited for. Needs nothing but Python.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

FILES = sorted(Path(__file__).resolve().parent.glob("*.json"))


def read_tables(kafka=None):
    """The tables as the files have them, reading from `kafka` where it is given."""
    tables = [json.loads(path.read_text()) for path in FILES]
    for stream in (stream for table in tables if kafka for stream in streams(table)):
        stream["stream.kafka.broker.list"] = kafka
    return tables


def streams(table):
    return table["realtime"]["ingestionConfig"]["streamIngestionConfig"]["streamConfigMaps"]


def request(method, url, body=None):
    """The answer's status and text; status 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def add(controller, table):
    """Adds a table or updates it; why not, where that failed, and whether it may go well later."""
    configs, name = f"{controller}/tableConfigs", table["tableName"]
    status, text = request("GET", configs)
    if status == 200:
        there = name in json.loads(text)
        status, text = request("PUT", f"{configs}/{name}", table) if there else request("POST", configs, table)
        if status == 200:
            print(f"{name}: {'up to date' if there else 'added'}", flush=True)
            return None, False
    # A topic that is missing is a failure of the controller; what it refuses as wrong stays wrong.
    return f"{name}: {status or 'no answer'} from {controller}: {text[:1000]}", status == 0 or status >= 500


def add_all(controller, tables, wait):
    """Adds all, each as soon as that is possible; what is in the way of the first that cannot be added in time."""
    until = time.monotonic() + wait
    for table in tables:
        problem, may_go_well = add(controller, table)
        if problem and may_go_well:
            print(f"waiting: {problem}", flush=True)
        while problem and may_go_well and time.monotonic() < until:
            time.sleep(2)
            problem, may_go_well = add(controller, table)
        if problem:
            return problem
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("controller", type=lambda url: url.rstrip("/"))
    options.add_argument("--kafka", help="where Pinot's servers reach Kafka")
    options.add_argument("--wait", type=float, default=300, help="seconds, 300 where it is not given")
    given = options.parse_args()
    return add_all(given.controller, read_tables(given.kafka), given.wait)


if __name__ == "__main__":
    sys.exit(main())
