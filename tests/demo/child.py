"""Child processes that do not outlive this one.

Each leads a session and process group of its own, so that Ctrl-C in a terminal reaches only us and we decide
the order of stopping. A watchdog beside it holds a pipe from this process: when this process ends, however
it ends, the pipe closes and the watchdog kills the whole group.
"""

import os
import signal
import subprocess
from pathlib import Path

_WATCHDOG = 'read _; kill -s KILL -- "-$0" 2>/dev/null; rm -rf -- "$@"'


class Child:
    """A started command. `scratch`: directories to remove if this process dies first."""

    def __init__(self, command, *, scratch=(), **popen_options):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                                        **popen_options)
        self.pid = self.process.pid
        self._watchdog = subprocess.Popen(["sh", "-c", _WATCHDOG, str(self.pid), *scratch],
                                          stdin=subprocess.PIPE, start_new_session=True)

    def poll(self):
        """None while it runs, else its exit code."""
        return self.process.poll()

    def pids(self):
        """The living processes of its session: itself and what it started."""
        return [pid for pid, session in _processes() if session == self.pid]

    def terminate(self):
        if self.poll() is None:
            self.process.terminate()

    def finish(self, timeout_s):
        """Wait so long for its end, then kill what is left of its group; the exit code."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        self._watchdog.kill()
        self._watchdog.communicate()
        send(os.killpg, self.pid, signal.SIGKILL)
        return self.process.wait()


def send(how, target, number):
    """os.kill or os.killpg of something that may have ended meanwhile."""
    try:
        how(target, number)
    except ProcessLookupError:
        pass


def name_of(pid):
    try:
        return Path("/proc", str(pid), "comm").read_text().strip()
    except OSError:
        return ""


def _processes():
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
        if state not in "ZX":
            yield int(entry), int(session)
