"""Many damaged files, one after the other: make fuzz, or python -m fuzz.night model --files 20000.

Every finding is printed once, and the file that shows it is kept in fuzz-findings. A run with the
same seed makes the same files.
"""

import argparse
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz import bombs, pictures, runs, tables, toml, using

KEPT = Path("fuzz-findings")
MEMORY = 2**31  # bytes beyond what the process has when it begins


def parts(what, folder):
    """Return the strategy that draws files of a kind, the function that uses one, and its name."""
    if what == "model":
        ready = using.bench(folder)
        return using.files(ready), partial(using.use, ready), lambda drawn: drawn[0][2]
    if what == "checkpoint":
        ready = runs.bench(folder)
        return runs.files(ready), partial(runs.use, ready), lambda drawn: drawn[0][2]
    if what in ("bomb", "toml"):
        module = {"bomb": bombs, "toml": toml}[what]
        return module.files(), partial(module.use, folder), lambda drawn: drawn[1]
    module = {"table": tables, "picture": pictures}[what]
    return module.files(module.good()), partial(module.use, folder), lambda drawn: drawn[1]


def run(what, n, first):
    """Use n files; return how many distinct findings there were."""
    found, largest, began = {}, Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files, use, content = parts(what, Path(folder))

        @seed(first)
        @settings(
            max_examples=n,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(files)
        def one(drawn):
            outcome = use(drawn)
            largest["files"] += 1
            largest["loaded"] += outcome.loaded
            largest["peak"] = max(largest["peak"], outcome.peak)
            for text in outcome.findings:
                key = re.sub(r"'[^']*'|\d+|\[.*\]$", "", text)
                if key not in found:
                    found[key] = text
                    KEPT.mkdir(exist_ok=True)
                    kept = KEPT / f"{what}-{first}-{len(found)}"
                    kept.write_bytes(content(drawn))
                    print(f"{kept}: {text}", flush=True)

        with using.no_more_memory_than(MEMORY):
            one()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}, seed {first}: {largest['files']:,} files, {largest['loaded']:,} of them could be "
        f"used, {len(found)} findings, at most {largest['peak'] / 2**20:.1f} MiB for one, "
        f"{resident:.0f} MiB resident in all, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return len(found)


def main():
    parser = argparse.ArgumentParser(prog="fuzz.night")
    parser.add_argument("what", choices=("model", "table", "picture", "checkpoint", "bomb", "toml"))
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    return 1 if run(chosen.what, chosen.files, chosen.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
