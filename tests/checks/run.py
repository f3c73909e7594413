"""`make lint`: every check, each told apart, all of them even when one fails."""

import os
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = "build/asan"
MAKE = ["make", "--no-print-directory", "-s", "-k", f"CC={os.environ.get('CC', 'gcc')}", "MODE=asan"]


def files(*patterns):
    found = sorted({str(path.relative_to(TOP)) for pattern in patterns for path in TOP.glob(pattern)})
    return [name for name in found if not name.startswith("build/")]


def shell_scripts():
    return [name for name in files("**/*.sh", ".ci/*", "docker/*")
            if (TOP / name).is_file() and (TOP / name).read_bytes().startswith(b"#!/bin/")
            and b"python" not in (TOP / name).read_bytes().split(b"\n")[0]]


def checks():
    python = [sys.executable, "-B"]
    archives = [f"{BUILD}/lib/{layer}.a" for layer in "base http net mail wall store session api main".split()]
    return {
        "format": ["clang-format", "--dry-run", "-Werror", *files("api/**/*.[ch]", "include/**/*.h", "server/**/*.[ch]",
                                                                   "tests/**/*.[ch]")],
        "source": [*python, "tests/checks/source.py"],
        "headers": [*MAKE, "lint-headers"],
        "clang": [*MAKE, "lint-clang"],
        "tidy": [*MAKE, "lint-tidy"],
        "shell": ["shellcheck", *shell_scripts()],
        "python": [*python, "-c", "import sys\nfor name in sys.argv[1:]: compile(open(name).read(), name, 'exec')",
                   *files("tests/**/*.py")],
        "build": [*MAKE, "build"],
        "release": [*MAKE, "MODE=release", "build"],  # the optimiser sees, and warns of, more
        "symbols": [*python, "tests/checks/symbols.py", *archives],
        "drift": [*python, "tests/checks/drift.py", f"{BUILD}/postern"],
    }


def main(wanted):
    failed = 0
    chosen = {name: command for name, command in checks().items() if not wanted or name in wanted}
    for name, command in chosen.items():
        started = time.monotonic()
        done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        failed += done.returncode != 0
        verdict = "ok  " if done.returncode == 0 else "FAIL"
        print(f"{verdict} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.stdout.strip():
            print(done.stdout.rstrip(), flush=True)
    passed = len(chosen) - failed
    print(f"lint: {passed} passed, {failed} failed")
    summary = os.environ.get("TEST_SUMMARY")
    if summary:
        with open(summary, "a") as file:
            file.write(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
