"""Nobody waits for somebody else's download, and many requests at once are all answered."""

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import Client
from support.letters import deliver, letter, numbers, received
from support.recorder import wait_for

ME = "/v1/accounts/me"
LIST = f"{ME}/messages?folder=inbox&limit=10"
BIG_BYTES = 8 << 20


@pytest.fixture
def big(session, mailbox):
    """A client of a mailbox with a message of 8 MB; the path of that message's raw bytes."""
    deliver(mailbox, range(5))
    deliver_big(mailbox)
    return session, f"{ME}/messages/{session.messages()[0]['id']}/raw"


def deliver_big(mailbox):
    body = ("0123456789" * 7 + "\r\n") * (BIG_BYTES // 72)
    mailbox.deliver("INBOX", letter(90, body), (), received(90))


@contextlib.contextmanager
def slow_download(client, path):
    """A download whose client takes 1 KB a second, and at first only what one call gives."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((client.server.host, client.server.port))
    stop = threading.Event()
    try:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n".encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")

        def drip():
            with contextlib.suppress(OSError):
                while not stop.wait(0.1):
                    connection.recv(100)
        thread = threading.Thread(target=drip)
        thread.start()
        yield
    finally:
        stop.set()
        thread.join()
        connection.close()


def test_slow_downloads_do_not_delay_lists(big):
    client, path = big
    with contextlib.ExitStack() as downloads:
        for _ in range(2):
            downloads.enter_context(slow_download(client, path))
        for _ in range(10):
            started = time.monotonic()
            client.get(LIST, expect=200)
            client.get(f"{ME}/folders", expect=200)
            ident = client.get(LIST, expect=200).json["items"][-1]["id"]
            client.get(f"{ME}/messages/{ident}", expect=200)
            client.patch(f"{ME}/messages/{ident}", json={"seen": True}, expect=200)
            assert time.monotonic() - started < 5


def test_a_slow_download_takes_little_memory(start_server, mailbox, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0")  # which would keep all that passes through
    deliver_big(mailbox)
    client = Client(start_server()).sign_in(mailbox)
    path = f"{ME}/messages/{client.messages()[0]['id']}/raw"
    client.get(path, expect=200)
    before = client.server.memory_kib()
    with contextlib.ExitStack() as downloads:
        for _ in range(2):
            downloads.enter_context(slow_download(client, path))
        time.sleep(1)
        assert client.server.memory_kib() - before < 4096


def test_a_client_that_leaves_frees_its_connection(big):
    client, path = big
    for _ in range(6):
        with client.stream(path, headers={"Authorization": f"Bearer {client.token}"}) as answer:
            assert answer.status == 200
            answer.read(1000)
    started = time.monotonic()
    assert len(client.get(path, expect=200).body) > BIG_BYTES - 72
    assert time.monotonic() - started < 15
    assert wait_for(lambda: gauge(client, "postern_http_exchanges") <= 1)


def test_many_requests_at_once_are_all_answered(session, mailbox):
    deliver(mailbox, range(40))
    items = session.messages()

    def ask(number):
        kind = number % 5
        item = items[number % 40]
        path = f"{ME}/messages/{item['id']}"
        if kind == 0:
            return numbers(session.get(LIST, expect=200).json["items"]) == list(range(39, 29, -1))
        if kind == 1:
            return session.get(path, expect=200).json["messageId"] == item["messageId"]
        if kind == 2:
            return item["messageId"].encode() in session.get(path + "/raw", expect=200).body
        if kind == 3:
            return session.get(f"{ME}/folders/inbox", expect=200).json["total"] == 40
        return session.patch(path, json={"keywords": {f"k{number % 7}": True}}, expect=200).json["id"] == item["id"]
    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(ask, range(200)))


def test_a_full_queue_is_503_and_not_a_hang(start_server, mailbox):
    deliver(mailbox, range(5))
    client = Client(start_server(queue_max="2", interactive_connections="1", worker_threads="2")).sign_in(mailbox)
    client.get(LIST, expect=200)
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: client.get(f"{ME}/messages?folder=inbox&limit={number % 50 + 1}"), range(60)))
    assert {answer.status for answer in answers} <= {200, 503}
    for answer in answers:
        if answer.status == 503:
            assert answer.code == "busy" and answer.headers["Retry-After"]
    client.get(LIST, expect=200)


def test_one_slow_account_does_not_slow_another(big, api, new_mailbox):
    client, path = big
    other = new_mailbox()
    deliver(other, range(3))
    stranger = api.sign_in(other)
    with slow_download(client, path), slow_download(client, path):
        started = time.monotonic()
        for _ in range(5):
            assert len(stranger.messages()) == 3
        assert time.monotonic() - started < 5


def test_the_connections_of_an_account_are_bounded(start_server, mailbox):
    deliver(mailbox, range(30))
    client = Client(start_server(interactive_connections="2", bulk_connections="1")).sign_in(mailbox)
    items = client.messages()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda item: client.get(f"{ME}/messages/{item['id']}/raw", expect=200), items))
        list(pool.map(lambda item: client.get(f"{ME}/messages/{item['id']}/text", expect=200), items))
    who = [line for line in mailbox.dovecot.doveadm("who", "-1").splitlines() if line.startswith(mailbox.user)]
    # One of them is the test's own.
    assert 1 <= len(who) - 1 <= 3, who


def gauge(client, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in client.get("/metrics", expect=200).text.splitlines()
               if line.startswith((name + " ", name + "{")))
