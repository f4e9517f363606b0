"""Writes the page of the words with which deliveries, holds and connection tests end: docs/reference/reasons.md."""

from dicomroute_gateway.reasons import Reason

HEAD = """# Reasons

Made from `gateway/src/dicomroute_gateway/reasons.py` by `make generate`; do not edit.

A reason is one word for what became of a delivery, what holds an instance, what a connection test found, or what an
archive failed with. It is the same word in `dicomroute queue list`, `dicomroute ledger`, the last error of a
destination in `kubectl describe`, metrics (label `reason`), logs and the admin API. The sentence beside it there has
the particulars. The reasons of conditions are on [a page of their own](../conditions.md).

| reason | what it means and what to do |
|---|---|"""

if __name__ == "__main__":
    print(HEAD)
    for one in sorted(Reason, key=lambda one: one.value.lower()):
        print(f"| `{one}` | {one.meaning} |")
