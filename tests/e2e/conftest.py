"""End-to-end tests: the real program, a real Dovecot, parsed JSON.

Fixtures
  dovecot      (session) the private mail server, tests/demo/dovecot.py; user demo@example.com has the
               sample mailbox of tests/demo/sample.py. Do not change that mailbox's messages; flags you change
               are seen by others, so prefer a mailbox of your own.
  mailbox      a fresh, empty account on that server: .user .password .deliver(folder, bytes, flags=())
               .fill(folder, count) .imap() (imaplib, signed in) .target(security="tls") (body for POST /v1/sessions)
  demo         the same object for demo@example.com
  new_mailbox  function: another fresh mailbox each time it is called (new_mailbox(user=, password=) takes a second)
  mailboxes    .set_password(mailbox, "new") waits until the mail server knows it
  server       (session) postern under test, in front of dovecot: default_imap is dovecot's TLS port
  start_server function: another postern with its own data directory and settings, stopped after the test:
               start_server(request_timeout="2s", default_imap="").  .stop() gives the exit code.
               start_server(data_dir=path) uses that directory; start_server(environment={...}) sets variables.
  api          client without credentials
  basic        client of `mailbox` by HTTP Basic;      demo_basic    of `demo`
  session      client of `mailbox` with a session;     demo_session  of `demo`

Client (support/client.py): every exchange is validated against openapi.yaml and counted for the test that every
operation was exercised.
  answer = basic.get("/v1/accounts/me/messages", query={"folder": "inbox"}, headers={...}, expect=200)
  .get .head .post .patch .put .delete .options (path, json=..., body=bytes, query=..., headers=..., expect=status)
  answer.status .headers["ETag"] .body .json .text .code (the problem's)
  basic.problem(method, path, status, code, **request)   expects that problem, gives its document
  client.stream(path, ...)      context manager: .status .headers .read(n), for slow readers and leavers
  client.raw(bytes)             sends bytes as they are; gives all bytes until the server closes (not validated)
  client.sign_in(mailbox, **changes)  POST /v1/sessions: a client with that session's token (.token)
  Client(server, mailbox=..., token=...)

Every server's log is checked when it stops: no sanitizer report, no credential, token, subject or address in it, and
exit code 0 on SIGTERM (a test that kills it says server.expect_exit = ...).
Environment: POSTERN_BINARY, the program (default build/asan/postern); POSTERN_E2E_WORKERS, the setting `workers` of every
server that does not choose its own (default 2; 0: everything in one process).
"""

import os
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "demo"), str(TOP / "tests" / "e2e")]

import sample  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from support.client import Client  # noqa: E402
from support.contract import Contract  # noqa: E402
from support.mailbox import Mailbox, Mailboxes  # noqa: E402
from support.server import Server  # noqa: E402

BINARY = Path(os.environ.pop("POSTERN_BINARY", TOP / "build" / "asan" / "postern")).resolve()
WORKERS = os.environ.pop("POSTERN_E2E_WORKERS", "2")
DEMO_PASSWORD = "demo password 7f3a"


def pytest_configure(config):
    config.addinivalue_line("markers", "last: runs after all other tests")
    if not BINARY.exists():
        raise pytest.UsageError(f"{BINARY} is not there: make MODE=asan build")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def contract():
    return Contract(TOP / "openapi.yaml")


@pytest.fixture(scope="session")
def ready_mailboxes():
    return Mailboxes()


@pytest.fixture(scope="session")
def dovecot(tmp_path_factory, ready_mailboxes):
    users = {sample.USER: DEMO_PASSWORD, **ready_mailboxes.users()}
    with Dovecot(tmp_path_factory.mktemp("dovecot"), users) as running:
        ready_mailboxes.dovecot = running
        sample.load(running, sample.USER)
        yield running


@pytest.fixture(scope="session")
def mailboxes(dovecot, ready_mailboxes):
    return ready_mailboxes


@pytest.fixture
def new_mailbox(mailboxes):
    return mailboxes.new


@pytest.fixture
def mailbox(mailboxes):
    return mailboxes.new()


@pytest.fixture(scope="session")
def demo(dovecot):
    return Mailbox(dovecot, sample.USER, DEMO_PASSWORD)


@pytest.fixture(scope="session")
def make_server(dovecot, mailboxes, demo, contract, tmp_path_factory):
    """Makes a Server, not started, that trusts and may reach `dovecot`; keyword settings win."""
    def make(environment=None, **settings):
        settings.setdefault("data_dir", tmp_path_factory.mktemp("postern"))
        defaults = {"listen": "127.0.0.1:0", "allowed_hosts": "127.0.0.1,localhost", "ca_file": dovecot.ca_file,
                    "default_imap": f"tls://localhost:{dovecot.imaps_port}", "signin_failures_max": 100000,
                    # Hundreds of mailboxes are used once: Dovecot has 300 processes for all of them.
                    "connection_idle": "5s", "workers": WORKERS}
        made = Server(BINARY, {**defaults, **settings}, contract)
        made.environment = environment or {}
        made.secrets = lambda: [DEMO_PASSWORD, demo.user, *mailboxes.secrets(), *subjects()]
        return made
    return make


@pytest.fixture(scope="session")
def server(make_server):
    running = make_server()
    running.start()
    yield running
    running.stop_and_check()


@pytest.fixture
def start_server(make_server):
    started = []

    def start(**settings):
        running = make_server(**settings)
        started.append(running)
        running.start()
        return running
    yield start
    for running in started:
        running.stop_and_check()


@pytest.fixture
def api(server):
    return Client(server)


@pytest.fixture
def basic(server, mailbox):
    return Client(server, mailbox=mailbox)


@pytest.fixture
def demo_basic(server, demo):
    return Client(server, mailbox=demo)


@pytest.fixture
def session(server, mailbox):
    return Client(server).sign_in(mailbox)


@pytest.fixture
def demo_session(server, demo):
    return Client(server).sign_in(demo)


def subjects():
    """Subjects of the sample that could stand nowhere in a log by chance."""
    for message in sample.messages():
        for line in message.data.split(b"\n\n")[0].replace(b"\r", b"").split(b"\n"):
            if line.lower().startswith(b"subject: ") and len(line) > 20 and line.isascii():
                yield line[9:].decode()
