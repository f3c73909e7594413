"""Runs cmocka programs one after another; prints failures whole, else a line each."""
import os
import re
import subprocess
import sys

SECONDS_EACH = 120


def main(programs):
    passed = failed = 0
    for program in programs:
        environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", G_SLICE="always-malloc")
        try:
            run = subprocess.run([program], capture_output=True, timeout=SECONDS_EACH, env=environment)
            output, code = (run.stdout + run.stderr).decode(errors="replace"), run.returncode
        except subprocess.TimeoutExpired as expired:
            output, code = (expired.stdout or b"").decode(errors="replace") + "\ntimed out", 1
        good = len(re.findall(r"^ok \d+", output, re.M))
        bad = len(re.findall(r"^not ok \d+", output, re.M))
        if code != 0 and bad == 0:
            bad = 1  # died outside a test: a sanitizer, a signal, a time-out
        passed += good
        failed += bad
        print(f"{'ok  ' if code == 0 else 'FAIL'} {program.split('/unit/')[-1]}: {good} passed, {bad} failed")
        if code != 0:
            print(output)
    print(f"unit: {passed} passed, {failed} failed")
    summary = os.environ.get("TEST_SUMMARY")
    if summary:
        with open(summary, "a") as file:
            file.write(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
