"""Follows the documents under their masks with `infer debug grammar --bench` and prints a table.

    python3 measure.py INFER VOCABULARY.gguf DOCUMENTS.jsonl
"""

import json
import statistics
import subprocess
import sys


def main():
    infer, vocabulary, documents = sys.argv[1:4]
    with open(documents, "rb") as stream:
        lines = subprocess.run(
            [infer, "debug", "grammar", "--bench", vocabulary], stdin=stream, check=True, capture_output=True
        ).stdout.splitlines()
    head, *results = [json.loads(line) for line in lines]
    print(f"{head['vocabulary']} tokens, arranged once in {head['arranged_ms']:.0f} ms; times in ms\n")
    print("| document | tokens | compile | median | p99 | worst |")
    print("|---|---|---|---|---|---|")
    costs = []
    for result in results:
        if "error" in result or not result["complete"]:
            sys.exit(f"failed: {result}")
        costs += result["all_ms"]
        print(
            f"| {result['name']} | {result['tokens']} | {result['compile_ms']:.2f} | {result['median_ms']:.3f} "
            f"| {result['p99_ms']:.3f} | {result['worst_ms']:.3f} |"
        )
    costs.sort()
    print(
        f"| **all** | {len(costs)} | | {statistics.median(costs):.3f} | {costs[len(costs) * 99 // 100]:.3f} "
        f"| {costs[-1]:.3f} |"
    )


main()
