"""Runs the contract suite: `run.py PROGRAM_MEMORY PROGRAM_IMAP PROGRAM_WALLED`.

The memory program runs as it is, and so does the one that sees it through the wall; the IMAP one runs three
times, plain, with STARTTLS and with TLS, against a private Dovecot of the suite's own.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))

from dovecot import Dovecot  # noqa: E402

SECONDS_EACH = 180
USER, PASSWORD = "contract@example.org", "contract-secret"


def run(name, program, extra):
    """One program; (passed, failed). A death outside a test is a failure too."""
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", G_SLICE="always-malloc", **extra)
    try:
        done = subprocess.run([program], capture_output=True, timeout=SECONDS_EACH, env=environment)
        output, code = (done.stdout + done.stderr).decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = (expired.stdout or b"").decode(errors="replace") + "\ntimed out", 1
    passed = len(re.findall(r"^ok \d+", output, re.M))
    failed = len(re.findall(r"^not ok \d+", output, re.M))
    if failed == 0 and (code != 0 or (passed == 0 and "# SKIP" not in output)):
        failed = 1
    print(f"{'FAIL' if failed else 'ok  '} contract/{name}: {passed} passed, {failed} failed")
    if failed or "# SKIP" in output:
        print(output)
    return passed, failed


def run_imap(program):
    with tempfile.TemporaryDirectory(prefix="postern-contract-") as scratch:
        with Dovecot(scratch, {USER: PASSWORD}) as server:
            common = {"POSTERN_TEST_IMAP": f"localhost:{server.imap_port}:{USER}:{PASSWORD}",
                      "POSTERN_TEST_CA": str(server.ca_file)}
            for security, port in (("none", server.imap_port), ("starttls", server.imap_port),
                                   ("tls", server.imaps_port)):
                yield run(f"imap-{security}", program, {**common, "POSTERN_TEST_SECURITY": security,
                                                        "POSTERN_TEST_PORT": str(port)})


def main(memory_program, imap_program, walled_program):
    results = [run("memory", memory_program, {}), run("walled", walled_program, {}), *run_imap(imap_program)]
    passed, failed = (sum(column) for column in zip(*results))
    print(f"contract: {passed} passed, {failed} failed")
    summary = os.environ.get("TEST_SUMMARY")
    if summary:
        with open(summary, "a") as file:
            file.write(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
