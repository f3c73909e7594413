"""Whatever a mail server does to the mail layer, its neighbours see nothing of it.

Each scenario of support/harm.py is visited by a user of its own, while another reads a real mailbox.
"""

import json
import threading
import time

import pytest
from support.client import Client
from support.harm import ME, SCENARIOS, visit

GROWTH_KIB_MAX = 16 * 1024
DOCUMENTED = {200, 201, 204, 403, 404, 410, 413, 424, 502, 503, 504}


class Neighbour:
    """Lists a real mailbox all the time; keeps what went wrong, and how large postern became meanwhile."""

    def __init__(self, server, mailbox):
        self.server, self.client = server, Client(server).sign_in(mailbox)
        self.problems, self.lists, self.peak_kib = [], 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._list()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _list(self):
        answer = self.client.get(f"{ME}/messages?folder=inbox&limit=50")
        self.lists += 1
        if answer.status != 200 or len(answer.json["items"]) != 5:
            self.problems.append(answer)

    def _run(self):
        while not self._stop.is_set():
            try:
                self._list()
            except (AssertionError, OSError) as problem:
                self.problems.append(problem)
            self.peak_kib = max(self.peak_kib, self.server.memory_kib())
            time.sleep(0.02)


@pytest.fixture(scope="module")
def postern(make_server):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0")  # memory that was freed does not count
        running = make_server(request_timeout="2s", connect_timeout="2s", host_down="0s")
        running.start()
    yield running
    running.stop_and_check()


@pytest.fixture(scope="module")
def real_mailbox(mailboxes):
    mailbox = mailboxes.new()
    mailbox.fill("INBOX", 5)
    return mailbox


@pytest.fixture(scope="module")
def warm(postern, real_mailbox):
    """Once everything was used once: what is kept for good is not growth."""
    with SCENARIOS["BAD to everything"]() as harm:
        visit(asker(postern), harm)
    Neighbour(postern, real_mailbox)


def asker(server):
    def ask(method, path, body, token):
        answer = Client(server, token=token).request(method, path, json=body)
        if answer.status == 201 and path == "/v1/sessions":
            server.tokens.append(answer.json["token"])
        content = answer.content_type == "application/json" and answer.body
        return answer.status, json.loads(answer.plain_body) if content else None
    return ask


def read_status(server):
    """An answer cut in the middle is an answer too: status 0."""
    ask = asker(server)

    def patient(*request):
        try:
            return ask(*request)
        except (OSError, EOFError) as cut:
            assert server.poll() is None, cut
            return 0, None
        except Exception as cut:  # http.client's IncompleteRead is none of the above
            assert type(cut).__name__ in ("IncompleteRead", "RemoteDisconnected"), cut
            return 0, None
    return patient


@pytest.mark.parametrize("name", SCENARIOS)
def test_harm_stays_with_its_own_user(name, postern, real_mailbox, warm):
    scenario = SCENARIOS[name]
    deaths = len(postern.log_lines("worker.died"))
    with scenario() as harm, Neighbour(postern, real_mailbox) as neighbour:
        before = postern.memory_kib()
        statuses = visit(read_status(postern), harm, scenario.security)
    assert postern.poll() is None
    assert not neighbour.problems and neighbour.lists > 1, neighbour.problems
    assert set(statuses) <= DOCUMENTED | {0}, statuses
    assert len(postern.log_lines("worker.died")) == deaths, "a worker died of it"
    if postern.settings["workers"] != "0":
        assert neighbour.peak_kib - before < GROWTH_KIB_MAX
