#!/usr/bin/env python3
"""Computes by itself what the topology sales-windows must give for a file of purchases, and compares.

    sales_windows.py [--open] INPUT OUTPUT

INPUT is what `local` reads: purchases a line, or records a line with their partition. OUTPUT is what `local` prints. A
purchase is refused by a window if, and only if, the largest time that its own partition had before it is at the window's
end and the allowed lateness. With --open the output is of a run that may go on: only windows that every partition's time
has closed are there. Ends with 1 where anything differs; else prints how much there was to compare, as JSON.
"""

import calendar
import json
import sys
import time
from collections import Counter, defaultdict
from decimal import Decimal

SIZE, ADVANCE, LATENESS, BEST = 600_000, 300_000, 600_000, 10


def lines(path):
    with open(path) as file:
        return [json.loads(line, parse_float=Decimal) for line in file]


def millis(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%d %H:%M:%S")) * 1000 + int((text[20:] + "000")[:3])


def text(millis):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03}000"


def flat(value):
    """A value that can be counted: its fields in any order, numbers with all their digits."""
    return json.dumps(value, sort_keys=True, default=str)


def compute(records, open_end):
    windows, late, clocks, in_time = {}, Counter(), {}, 0
    for record in records:
        purchase, partition = record.get("value", record), record.get("partition", 0)
        if record.get("topic", "demo.purchases") != "demo.purchases" or isinstance(purchase, str):
            continue  # another topic, or cut off in the middle
        if purchase["product_id"] is None:
            continue  # put aside as it is read; it moves no time
        now = millis(purchase["transaction_time"])
        clock = clocks.get(partition, now)
        clocks[partition] = max(clock, now)
        for start in (now // ADVANCE * ADVANCE - ADVANCE, now // ADVANCE * ADVANCE):
            end = start + SIZE
            if clock >= end + LATENESS:
                missed = {"watermark": text(clock), "window_start": text(start), "window_end": text(end), "expired": False}
                late[flat(purchase | missed)] += 1
                continue
            in_time += clock > now
            sums = windows.setdefault((start, purchase["product_id"]), [0, 0, Decimal(0)])
            for place, more in enumerate((1, purchase["quantity"], purchase["total_purchase"])):
                sums[place] += more
    if open_end:
        closed = min(clocks.values()) - LATENESS - SIZE
        windows = {(start, product): sums for (start, product), sums in windows.items() if start <= closed}
    return windows, late, in_time


def row(start, product, sums, **more):
    names = dict(zip(("transactions", "quantities", "sales"), sums))
    return flat({"product_id": product, "window_start": text(start), "window_end": text(start + SIZE), **names, **more})


def best(windows):
    by_start = defaultdict(list)
    for (start, product), sums in windows.items():
        by_start[start].append((-sums[2], product, sums))
    return {
        text(start): [row(start, product, sums, rank=rank) for rank, (_, product, sums) in enumerate(sorted(sold)[:BEST], 1)]
        for start, sold in by_start.items()
    }


def main(*arguments):
    given, printed = arguments[-2:]
    windows, late, in_time = compute(lines(given), "--open" in arguments)
    expected = Counter(row(start, product, sums) for (start, product), sums in windows.items())
    found = {"demo.sales.windows": Counter(), "demo.sales.windows.late": Counter()}
    ranked, wrong = defaultdict(list), []
    for record in lines(printed):
        topic, key, value = record["topic"], record["key"], record["value"]
        if topic == "demo.sales.windows.top":
            ranked[key].append(flat(value))
            continue
        found[topic][flat(value)] += 1
        if key != value["product_id"]:
            wrong.append(f"the key {key} of {flat(value)}")
    for topic, whole in (("demo.sales.windows", expected), ("demo.sales.windows.late", late)):
        wrong += [f"{topic} lacks {value}" for value in (whole - found[topic]).elements()]
        wrong += [f"{topic} has too much: {value}" for value in (found[topic] - whole).elements()]
    whole = best(windows)
    for start in whole.keys() | ranked.keys():
        if whole.get(start) != ranked.get(start):
            wrong.append(f"the best of {start} are {ranked.get(start)} and should be {whole.get(start)}")
    print("\n".join(wrong[:20]), file=sys.stderr)
    counts = {"windows": len(windows), "starts": len(whole), "late": sum(late.values()), "in_time": in_time}
    print(json.dumps(counts))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
