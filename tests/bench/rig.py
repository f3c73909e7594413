"""What the bench drives: a postern process, groups of load clients, and a look into /proc."""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "demo"))

from child import Child  # noqa: E402

PATIENCE_S = 120


def build_load(directory):
    program = directory / "load"
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-o", program, HERE / "load.c",
                    "-lssl", "-lcrypto", "-lpthread"], check=True)
    return program


class Postern:
    """One process on a free port with a data directory of its own. A context manager."""

    def __init__(self, program, directory, **settings):
        directory.mkdir(parents=True)
        self.log_file = directory / "log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
        settings = {"listen": "127.0.0.1:0", "data_dir": directory / "data", "allowed_hosts": "localhost", **settings}
        clean.update({f"POSTERN_{name.upper()}": str(value) for name, value in settings.items()})
        with open(self.log_file, "wb") as log:
            self._child = Child([program, "serve"], env=clean, stdout=log, stderr=log)
        self.pid = self._child.pid
        self.port = self._await_port()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.terminate()
        self._child.finish(20)

    def _await_port(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            started = re.search(r'"event":"started".*?"address":"[^"]*:(\d+)"', self.log_file.read_text())
            if started:
                return int(started[1])
            if self._child.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError("postern does not start:\n" + self.log_file.read_text())

    def ask(self, method, path, body=None, token=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        wanted = dict(headers)
        if token:
            wanted["Authorization"] = f"Bearer {token}"
        if body is not None:
            wanted["Content-Type"], body = "application/json", json.dumps(body)
        try:
            connection.request(method, path, body, wanted)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text) if text else None

    def sign_in(self, dovecot, user, transport):
        """A session's token; transport "tls" or "plain"."""
        port, security = ((dovecot.imaps_port, "tls") if transport == "tls" else (dovecot.imap_port, "none"))
        body = {"protocol": "imap", "host": "localhost", "port": port, "security": security, "username": user,
                "password": dovecot.users[user]}
        return self.ask("POST", "/v1/sessions", body)["token"]

    def list(self, token, folder, **query):
        words = "".join(f"&{name}={value}" for name, value in query.items())
        return self.ask("GET", f"/v1/accounts/me/messages?folder=path:{folder}&limit=50{words}", token=token)

    def sync_of(self, token, folder):
        """What is mirrored of a folder, asked without a word to the mail server."""
        answer = self.ask("GET", f"/v1/accounts/me/folders/path:{folder}", token=token,
                          headers={"Cache-Control": "only-if-cached"})
        return answer["sync"]

    def await_complete(self, token, folder, step_s=0.05):
        deadline = time.monotonic() + PATIENCE_S
        while not self.sync_of(token, folder)["complete"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{folder} is not mirrored after {PATIENCE_S} s")
            time.sleep(step_s)

    # ---- /proc: the main process and its workers together ----
    def pids(self):
        """The main process first."""
        children = set()
        for task in os.listdir(f"/proc/{self.pid}/task"):
            children.update(map(int, Path(f"/proc/{self.pid}/task/{task}/children").read_text().split()))
        return [self.pid, *sorted(children)]

    @staticmethod
    def _status(pid, name, task=None):
        place = Path("/proc", str(pid), *(("task", task) if task else ()), "status")
        return int(re.search(rf"^{name}:\s+(\d+)", place.read_text(), re.M)[1])

    def rss_of(self, pid):
        return self._status(pid, "VmRSS")

    def rss_kib(self):
        return sum(self.rss_of(pid) for pid in self.pids())

    def peak_kib(self):
        return sum(self._status(pid, "VmHWM") for pid in self.pids())

    @staticmethod
    def sockets_of(pid):
        links = []
        for name in Path(f"/proc/{pid}/fd").iterdir():
            try:
                links.append(os.readlink(name))
            except OSError:
                pass
        return sum(link.startswith("socket:") for link in links)

    def cpu_us(self):
        ticks = 0
        for pid in self.pids():
            words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
        return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")

    def switches(self):
        """Context switches so far, of the threads that live."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                try:
                    total += self._status(pid, "voluntary_ctxt_switches", task)
                    total += self._status(pid, "nonvoluntary_ctxt_switches", task)
                except (OSError, TypeError):
                    pass
        return total


class RssWatch:
    """The highest RSS while it is open, looked at every few milliseconds."""

    def __init__(self, postern):
        self._postern, self._over = postern, threading.Event()
        self.highest_kib = postern.rss_kib()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.003):
            self.highest_kib = max(self.highest_kib, self._postern.rss_kib())


class Load:
    """A group of clients of load.c, connected and signed in; a context manager."""

    def __init__(self, program, *words):
        self._process = subprocess.Popen([program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True)
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)

    def run(self, ms, count=0):
        self._process.stdin.write(f"{ms} {count}\n")
        self._process.stdin.flush()
        done = json.loads(self._answer())
        done["per_s"] = done["count"] / done["seconds"]
        return done

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a load client gave up, see above")
        return line


def alternate(rounds, ms, sides, count=0):
    """{name: [a result a round]}: each round runs every side, one after the other, in turns of order."""
    results = {name: [] for name in sides}
    for side in sides.values():
        side.run(ms // 4, count)  # warm
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            results[name].append(sides[name].run(ms, count))
    return results


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def ratio(results, above, below, name):
    """Median over the rounds of one side's figure in the other's."""
    return statistics.median(a[name] / b[name] for a, b in zip(results[above], results[below]))
