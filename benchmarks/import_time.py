"""What `import featurestore` costs in a fresh process, beside the frame libraries that it must not load.

    python benchmarks/import_time.py

CPU milliseconds above those of an empty process, the median of several.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

BUDGET = 100
"""Milliseconds (DESIGN, section 8)."""
MODULES = ("featurestore", "featurestore.store", "numpy", "polars", "pandas")
"""The second is what the first use of the default store loads; registering a feature is such a use."""


def cpu(statement: str) -> float:
    """Return the CPU milliseconds of a new process that runs ``statement``."""
    code = f"{statement}\nimport time; print(time.process_time() * 1000)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    statements = {"": "pass", **{module: f"import {module}" for module in MODULES}}
    for statement in statements.values():
        cpu(statement)  # so that none pays for compiling
    # In turn, so that all meet the same machine.
    times = [{name: cpu(statement) for name, statement in statements.items()} for _ in range(rounds)]
    medians = {name: statistics.median(each[name] - each[""] for each in times) for name in MODULES}
    print(f"import, CPU ms above an empty process, median of {rounds}")
    for name, milliseconds in medians.items():
        ratio = milliseconds / medians["featurestore"]
        note = f"budget {BUDGET} ms" if name == "featurestore" else f"{ratio:.1f}x"
        print(f"  {name:<18} {milliseconds:>7.1f} ms   {note}")


if __name__ == "__main__":
    main()
