"""``python -m benchmarks``: measure, print, and save the tables.

Both sides run in one process, alternating, with the same cores. Figures are medians of ratios with
their spread; nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

import pandas as pd

from benchmarks import machine, optimum, passes

PARTS = ("passes", "limit", "optimum")


def main() -> None:
    """Run the chosen parts and write ``benchmarks/results/DATE.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a few small cases only")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    results: dict[str, object] = {
        "date": date.today().isoformat(),
        "machine": machine.description(),
    }
    if "passes" in chosen.parts:
        print("Seconds per pass, times faster than scikit-learn")
        results["passes"] = passes.run(chosen.repeats, chosen.quick)
        print(pd.DataFrame(results["passes"]).round(2).to_string(index=False))
    if "limit" in chosen.parts:
        results["limit"] = machine.limit_of_a_pass(1_000_000, 10, 10)
        print("Of a pass over 1,000,000 x 10, K=10, one after the other:", results["limit"])
    if "optimum" in chosen.parts:
        print("Share of best known optima: bayesmix | scikit-learn | scikit-learn, ten starts")
        results["optimum"] = optimum.run(chosen.seeds, chosen.quick)
        table = pd.DataFrame(results["optimum"])
        print(table.drop(columns="problem").mean().round(4).to_string())
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / f"{results['date']}.json"
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"saved {path}")


if __name__ == "__main__":
    main()
