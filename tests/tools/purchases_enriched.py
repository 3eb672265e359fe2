#!/usr/bin/env python3
"""Computes by itself what the topology purchases-enriched must give, and compares.

    purchases_enriched.py INPUT OUTPUT

INPUT is what `local --input-records` reads, OUTPUT is what `local` prints. A purchase is joined with the newest record
of its product that is not newer than itself; one without such a record gives nothing. Ends with 1 where anything differs;
else prints how much there was to compare, as JSON.
"""

import json
import sys
from collections import Counter, defaultdict
from decimal import Decimal

FROM_PRODUCT = {
    "product_category": "category", "product_name": "item", "product_size": "size", "product_cogs": "cogs",
    "product_price": "price", "contains_fruit": "contains_fruit", "contains_veggies": "contains_veggies",
    "contains_nuts": "contains_nuts", "contains_caffeine": "contains_caffeine",
}  # fmt: skip
FROM_PURCHASE = {
    "transaction_time": "transaction_time", "transaction_id": "transaction_id", "product_id": "product_id",
    "purchase_price": "price", "purchase_quantity": "quantity", "is_member": "is_member",
    "member_discount": "member_discount", "add_supplements": "add_supplements", "supplement_price": "supplement_price",
    "total_purchase": "total_purchase",
}  # fmt: skip


def lines(path):
    with open(path) as file:
        return [json.loads(line, parse_float=Decimal) for line in file]


def moment(text):
    """A time as text that compares as the times do."""
    return text if "." in text else text + ".000000"


def flat(value):
    """A value that can be counted: its fields in any order, numbers with all their digits."""
    return json.dumps(value, sort_keys=True, default=str)


def main(given, printed):
    versions, purchases, missed = defaultdict(list), [], 0
    for record in lines(given):
        value = record["value"]
        if isinstance(value, str) or value["product_id"] is None:
            continue  # cut off in the middle, or without a product
        if record["topic"] == "demo.products":
            versions[value["product_id"]].append((moment(value["event_time"]), value))
        elif record["topic"] == "demo.purchases":
            purchases.append(value)
    expected, changed = Counter(), 0
    for purchase in purchases:
        of = versions[purchase["product_id"]]
        held = [version for version in of if version[0] <= moment(purchase["transaction_time"])]
        if not held:
            missed += 1
            continue
        product = max(held, key=lambda version: version[0])[1]
        changed += product is not of[0][1]
        row = {name: purchase.get(field) for name, field in FROM_PURCHASE.items()}
        expected[flat(row | {name: product[field] for name, field in FROM_PRODUCT.items()})] += 1
    found, wrong = Counter(), []
    for record in lines(printed):
        found[flat(record["value"])] += 1
        if record["key"] != record["value"]["product_id"]:
            wrong.append(f"the key {record['key']} of {flat(record['value'])}")
    wrong += [f"lacks {value}" for value in (expected - found).elements()]
    wrong += [f"has too much: {value}" for value in (found - expected).elements()]
    print("\n".join(wrong[:20]), file=sys.stderr)
    print(json.dumps({"joined": sum(expected.values()), "changed": changed, "missed": missed}))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
