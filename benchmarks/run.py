"""`make bench`: measure, print a table, write `benchmarks/results/latest.json`.

python -m benchmarks.run [--only main|portal|ledger|engine|storm|exports|proofs]
"""

import argparse

from benchmarks import engine, exports, ledger, main_job, portal, proofs, results, storm
from benchmarks.harness import System

BENCHES = {
    "main": main_job.measure,
    "portal": portal.measure,
    "ledger": ledger.measure,
    "engine": engine.measure,
    "storm": storm.measure,
    "exports": exports.measure,
    "proofs": proofs.measure,
}


def main() -> None:
    """Run the benches asked for, one after another on one system."""
    parser = argparse.ArgumentParser(description="Measure Countersign.")
    parser.add_argument("--only", choices=sorted(BENCHES), help="run one bench")
    only = parser.parse_args().only
    with System() as system:
        system.set_up()
        rows = [
            row
            for name, measure in BENCHES.items()
            if only in {None, name}
            for row in measure(system)
        ]
        results.write(rows)


if __name__ == "__main__":
    main()
