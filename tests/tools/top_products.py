#!/usr/bin/env python3
"""Computes by itself what the topology top-products must give for a file of purchases, and compares.

    top_products.py [--most N] INPUT OUTPUT

INPUT is purchases a line, OUTPUT is what `local` prints: the newest record of each rank. Ends with 1 where anything
differs; else prints how much there was to compare, as JSON.
"""

import json
import sys
from collections import defaultdict
from decimal import Decimal


def lines(path):
    with open(path) as file:
        return [json.loads(line, parse_float=Decimal) for line in file]


def main(*arguments):
    given, printed = arguments[-2:]
    most = int(arguments[1]) if arguments[0] == "--most" else 25
    sums = defaultdict(lambda: [0, Decimal(0)])
    for purchase in lines(given):
        sums[purchase["product_id"]][0] += purchase["quantity"]
        sums[purchase["product_id"]][1] += purchase["total_purchase"]
    ranking = sorted((-sales, product, quantities) for product, (quantities, sales) in sums.items())[:most]
    expected = [
        (str(rank), {"rank": rank, "product_id": product, "quantities": quantities, "sales": -sales})
        for rank, (sales, product, quantities) in enumerate(ranking, 1)
    ]
    found = sorted(((record["key"], record["value"]) for record in lines(printed)), key=lambda row: int(row[0]))
    # As text, since 5.0 and 5.00 are equal and not the same.
    flat = [[json.dumps(row, default=str) for row in rows] for rows in (expected, found)]
    if flat[0] != flat[1]:
        print(f"expected {flat[0]}\nfound    {flat[1]}", file=sys.stderr)
    print(json.dumps({"products": len(sums), "ranks": len(expected)}))
    return flat[0] != flat[1]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
