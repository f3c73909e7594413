"""One postern process: started, asked, stopped, and its log judged."""

import json
import os
import re
import time
from pathlib import Path

from child import Child

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed")


def environment(**more):
    """Ours without anything that postern would take for a setting."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
    return {**clean, "G_SLICE": "always-malloc", **{name: str(value) for name, value in more.items()}}


def workers_of(pid):
    """The process ids of a postern's workers."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += (task / "children").read_text().split()
    return [int(child) for child in children]


class Server:
    """Settings are given by name: Server(binary, {"listen": "127.0.0.1:0", ...}, contract)."""

    def __init__(self, binary, settings, contract):
        self.binary = str(binary)
        self.settings = {name: str(value) for name, value in settings.items()}
        self.contract = contract
        self.data_dir = Path(self.settings["data_dir"])
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_file = self.data_dir.with_name(f"{self.data_dir.name}-{os.urandom(4).hex()}.log")
        self.host, self.port = None, None
        self.tokens = []          # clients add every token they were given
        self.environment = {}     # besides ours
        self.expect_exit = 0      # what stop_and_check wants
        self.secrets = lambda: []
        self._child = None
        self._code = None

    @property
    def pid(self):
        return self._child.pid

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items()]
        self._code = None
        with open(self.log_file, "ab") as log:
            self._child = Child([self.binary, "serve", *flags], env=environment(**self.environment), stdout=log, stderr=log)
        started = self.wait_for_event("started", START_TIMEOUT_S)
        address = started["address"]
        if not address.startswith("unix:"):
            self.host, _, port = address.rpartition(":")
            self.port = int(port)
        return self

    def signal(self, number):
        os.kill(self._child.pid, number)

    def poll(self):
        return self._child.poll()

    def stop(self, timeout_s=STOP_TIMEOUT_S):
        """SIGTERM, the end, its exit code. Idempotent."""
        if self._code is None and self._child is not None:
            self._child.terminate()
            self._code = self._child.finish(timeout_s)
        return self._code

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """Its end by itself; the exit code."""
        deadline = time.monotonic() + timeout_s
        while self._child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self._child.poll() is not None, "still running"
        self._code = self._child.finish(0)
        return self._code

    def stop_and_check(self):
        """What every run must show: see the head of conftest.py."""
        code, text = self.stop(), self.log_text()
        problem = SANITIZER.search(text)
        assert not problem, f"{problem.group()} in {self.log_file}:\n{text[max(0, problem.start() - 500):][:6000]}"
        assert code == self.expect_exit, f"postern ended with {code}, see {self.log_file}:\n{text[-3000:]}"
        for secret in {*self.secrets(), *self.tokens}:
            spelled = json.dumps(secret)[1:-1]
            assert secret not in text and spelled not in text, f"{secret!r} stands in {self.log_file}"
        for line in text.splitlines():
            json.loads(line)  # nothing but JSON lines

    # ---- the log ----
    def log_text(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_lines(self, event=None):
        """Parsed lines, of this event only when it is named."""
        lines = []
        for line in self.log_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                entry = json.loads(line)
                if event in (None, entry.get("event")):
                    lines.append(entry)
        return lines

    def wait_for_event(self, event, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.log_lines(event)
            if found:
                return found[-1]
            assert self._child.poll() is None, f"postern ended with {self._child.poll()}:\n{self.log_text()[-3000:]}"
            time.sleep(0.02)
        raise AssertionError(f"no {event!r} line within {timeout_s} s:\n{self.log_text()[-3000:]}")

    def workers(self):
        return workers_of(self.pid)

    def memory_kib(self):
        status = Path("/proc", str(self.pid), "status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
