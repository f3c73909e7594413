"""How workers are shut in, seen from outside. What a worker may not do is tried from inside by tests/unit/wall/confine.c."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import BINARY, TOP
from support.client import Client
from support.recorder import wait_for
from support.server import environment, workers_of

RELEASE = TOP / "build" / "release" / "postern"
LACKING = "RLIMIT_AS"  # of a build with a sanitizer, on every kernel: its shadow memory would not survive it

sanitized = pytest.mark.skipif(b"__asan_init" not in BINARY.read_bytes(), reason="nothing need be missing")


@sanitized
def test_what_is_missing_is_logged_once(start_server):
    server = start_server(workers=3)
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: len(server.log_lines("worker.started")) == 6)
    [said] = server.log_lines("sandbox.incomplete")
    assert LACKING in said["lacking"].split(", ")


@sanitized
def test_a_sandbox_that_is_required_is_whole_or_there_is_no_start(make_server):
    server = make_server(workers=2, sandbox="required")
    with pytest.raises(AssertionError, match=f"the sandbox is required, and this system lacks [^\"]*{LACKING}"):
        server.start()
    server.expect_exit = 1
    server.wait()


@sanitized
def test_a_sandbox_that_is_off_is_missed_by_nobody(start_server):
    server = start_server(workers=1, sandbox="off")
    Client(server).get("/readyz", expect=200)
    assert not server.log_lines("sandbox.incomplete")
    [worker] = server.workers()
    assert "Seccomp:\t0" in Path(f"/proc/{worker}/status").read_text()


def most(pid, what):
    [limit] = re.findall(f"^Max {what} +(\\S+)", Path(f"/proc/{pid}/limits").read_text(), re.M)
    return limit


@pytest.mark.skipif(not RELEASE.exists(), reason="built before the tests by `make test` alone")
def test_a_release_worker_has_its_limits(tmp_path):
    settings = ["--listen=127.0.0.1:0", f"--data-dir={tmp_path}", "--workers=1", "--worker-memory-max=300M"]
    with subprocess.Popen([RELEASE, "serve", *settings], stderr=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            assert any('"event":"started"' in line for line in server.stderr)
            [worker] = workers_of(server.pid)
            assert most(worker, "address space") == str(300 << 20)
            assert most(worker, "core file size") == "0"
            status = Path(f"/proc/{worker}/status").read_text()
            assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "Uid:\t0" not in status
        finally:
            server.terminate()
