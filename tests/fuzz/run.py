#!/usr/bin/python3
"""Runs fuzz targets for a while each, from the seeds beside them: run.py [--seconds N] [program...].

What is found is written to build/fuzz/found and fails the run; new inputs that reach new code are kept in
build/fuzz/corpus for the next one. "passed failed" goes to the file named by TEST_SUMMARY.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SEEDS, BUILD = TOP / "tests" / "fuzz" / "seeds", TOP / "build" / "fuzz"
INPUT_BYTES_MAX, INPUT_SECONDS_MAX, MEMORY_MIB_MAX = 65536, 10, 2048
# Our own stack of sanitizers reports; libetpan is not built with them, so its leaks are not told apart.
OPTIONS = {"ASAN_OPTIONS": "allocator_may_return_null=1", "G_SLICE": "always-malloc"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    programs = arguments.programs or [BUILD / source.stem for source in sorted((TOP / "tests" / "fuzz").glob("*.c"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda program: run(Path(program).resolve(), arguments.seconds), programs))
    failed = results.count(False)
    summary = os.environ.get("TEST_SUMMARY")
    if summary:
        with open(summary, "a") as out:
            print(len(programs) - failed, failed, file=out)
    return 1 if failed else 0


def run(program, seconds):
    corpus, found = BUILD / "corpus" / program.name, BUILD / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    seeds = SEEDS / program.name
    if not seeds.is_dir() or not any(seeds.iterdir()):
        print(f"{program.name}: no seeds in {seeds.relative_to(TOP)}")
        return False
    command = [program, f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={MEMORY_MIB_MAX}",
               f"-max_len={INPUT_BYTES_MAX}", f"-artifact_prefix={found}/{program.name}-", "-print_final_stats=1",
               corpus, seeds]
    done = subprocess.run(command, env={**os.environ, **OPTIONS}, stdin=subprocess.DEVNULL, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 120)
    figures = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stdout))
    reached = re.findall(r"cov: (\d+)", done.stdout)
    print(f"{program.name}: {figures.get('number_of_executed_units', '?')} runs, coverage {reached[-1] if reached else '?'}")
    if done.returncode:
        print(done.stdout[-6000:])
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
