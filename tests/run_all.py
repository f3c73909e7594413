"""`make test` and `make tsan`: every phase, one after the other, and one line of sums at the end.

A phase writes "passed failed" lines to the file named by TEST_SUMMARY; pytest's are counted from its
report. A phase that fails without having counted a failure (it does not build, it crashed) counts one.
"""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
SUMMARY = TOP / "build" / "summary"
REPORT = TOP / "build" / "report.xml"
MAKE = ["make", "--no-print-directory", "-s", "-k", f"CC={os.environ.get('CC', 'gcc')}"]
FUZZ_SECONDS = 10
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={REPORT}"]
TSAN_LAYERS = ("base", "http", "net", "wall", "store", "session")


def make(mode, *targets):
    return [*MAKE, f"MODE={mode}", *targets]


def phases(which):
    """(name, command, seconds) of each phase."""
    if which == "tsan":
        # A kernel with more randomness than ThreadSanitizer knows kills it at start.
        plain = ["setarch", "-R"]
        return [("build", make("tsan", *(f"build/tsan/lib/{layer}.a" for layer in TSAN_LAYERS)), 600),
                *((f"unit {layer}", plain + make("tsan", f"unit-{layer}"), 600) for layer in TSAN_LAYERS)]
    return [("build", make("asan", "build"), 900),
            ("lint", [sys.executable, "tests/checks/run.py"], 900),
            ("unit", make("asan", "unit"), 600),
            ("contract", make("asan", "contract"), 600),
            ("fuzz targets", make("fuzz", "fuzz-build"), 600),
            ("fuzz", [sys.executable, "tests/fuzz/run.py", "--seconds", str(FUZZ_SECONDS)], 300),
            ("release", make("release", "build"), 600),
            ("end to end", ["env", "POSTERN_E2E_WORKERS=2", *PYTEST, "tests/e2e"], 900),
            ("end to end in one process", ["env", "POSTERN_E2E_WORKERS=0", *PYTEST, "tests/e2e"], 900),
            ("demo", [*PYTEST, "tests/demo"], 300)]


def run_phase(name, command, seconds):
    print(f"== {name}", flush=True)
    SUMMARY.write_text("")
    REPORT.unlink(missing_ok=True)
    environment = dict(os.environ, TEST_SUMMARY=str(SUMMARY), POSTERN_E2E_COMPLETE="1",
                       PYTHONDONTWRITEBYTECODE="1")
    started = time.monotonic()
    code = run(command, environment, seconds)
    if code is None:
        print(f"{name}: not done after {seconds} s")
    passed, failed = count()
    if code not in (0, 5) and not failed:  # 5: pytest found no tests
        failed = 1
    print(f"== {name}: {passed} passed, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    return passed, failed


def run(command, environment, seconds):
    """The exit code; None when it took too long and was ended, with all it had started."""
    process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
    try:
        return process.wait(seconds)
    except BaseException as stopped:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if isinstance(stopped, subprocess.TimeoutExpired):
            return None
        raise


def count():
    passed = failed = 0
    for line in SUMMARY.read_text().splitlines():
        good, bad = map(int, line.split())
        passed, failed = passed + good, failed + bad
    if REPORT.exists():
        for case in xml.parse(REPORT).iter("testcase"):
            kinds = {child.tag for child in case}
            failed += bool(kinds & {"failure", "error"})
            passed += not kinds & {"failure", "error", "skipped"}
    return passed, failed


def main(which):
    SUMMARY.parent.mkdir(exist_ok=True)
    results = [run_phase(*phase) for phase in phases(which)]
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
