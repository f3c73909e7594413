"""What survives: restarts, kill -9, a damaged or missing mirror, and mail servers that stopped answering."""

import contextlib
import signal
import sqlite3
import time

import pytest
from support.client import Client
from support.letters import deliver, letter, numbers
from support.recorder import GREETING, Recorder, wait_for
from support.witness import LISTED, Witness

ME = "/v1/accounts/me"
LIST = f"{ME}/messages?folder=inbox"
MIRROR_IS_OLD = {"Cache-Control": "max-stale"}


@pytest.fixture
def run(make_server):
    """A context: one run of postern on the given data directory (its own when None)."""
    @contextlib.contextmanager
    def one(data_dir=None, **settings):
        server = make_server(**settings, **({"data_dir": data_dir} if data_dir else {}))
        server.start()
        try:
            yield server
        except BaseException:
            server.stop()
            raise
        server.stop_and_check()
    return one


def mirrors(data_dir):
    """The SQLite files of the mirrors under this directory."""
    return [path for path in data_dir.rglob("*") if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"
            and b"messages" in path.read_bytes()]


def known_ids(client):
    return {item["messageId"]: item["id"] for item in client.messages()}


def test_a_mirror_survives_a_restart(run, mailbox):
    deliver(mailbox, range(30))
    with run() as server:
        first = Client(server, mailbox=mailbox).messages()
    with run(server.data_dir) as server:
        client = Client(server, mailbox=mailbox)
        client.get(ME, expect=200)
        answer = client.get(LIST + "&limit=500", headers=MIRROR_IS_OLD, expect=200)
        assert answer.headers["X-Mail-Source"] == "mirror"
        assert answer.json["items"] == first
        deliver(mailbox, [99])
        assert numbers(client.messages())[:2] == [99, 29]


def test_a_mirror_in_memory_leaves_no_mail_on_disk(run, mailbox):
    mailbox.dovecot.deliver(mailbox.user, "INBOX", letter(1, subject="zebra crossing in the fog"))
    with run(mirror="memory") as server:
        client = Client(server, mailbox=mailbox)
        assert client.messages()[0]["subject"] == "zebra crossing in the fog"
        for path in server.data_dir.rglob("*"):
            assert not path.is_file() or b"zebra crossing" not in path.read_bytes(), path


def test_ids_are_the_same_after_the_mirror_was_deleted(run, mailbox):
    deliver(mailbox, range(20))
    with run() as server:
        client = Client(server, mailbox=mailbox)
        before, folders = known_ids(client), client.get(f"{ME}/folders", expect=200).json["items"]
        account = client.get(ME, expect=200).json["id"]
    files = mirrors(server.data_dir)
    assert files
    for path in files:
        for one in path.parent.glob(path.name + "*"):
            one.unlink()
    with run(server.data_dir) as server:
        client = Client(server, mailbox=mailbox)
        some = next(iter(before.values()))
        # Asked for by its id before any list: found all the same.
        assert client.get(f"{ME}/messages/{some}", expect=200).json["id"] == some
        assert known_ids(client) == before
        assert [one["id"] for one in client.get(f"{ME}/folders", expect=200).json["items"]] == [
            one["id"] for one in folders]
        assert client.get(ME, expect=200).json["id"] == account


def spoil_with_garbage(path):
    size = path.stat().st_size
    path.write_bytes(bytes(range(256)) * (size // 256 + 1))


def spoil_in_the_middle(path):
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def make_newer(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1000000")
        database.commit()


def cut_short(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [spoil_with_garbage, spoil_in_the_middle, make_newer, cut_short, empty])
def test_a_mirror_that_cannot_be_used_is_set_aside_and_made_again(spoil, run, mailbox):
    deliver(mailbox, range(200))
    with run() as server:
        before = Client(server, mailbox=mailbox).messages()
    path, = mirrors(server.data_dir)
    for one in path.parent.glob(path.name + "-*"):
        one.unlink()
    spoil(path)
    with run(server.data_dir) as server:
        client = Client(server, mailbox=mailbox)
        after = client.messages()
        assert [item["id"] for item in after] == [item["id"] for item in before]
        assert [item["subject"] for item in after] == [item["subject"] for item in before]
        if spoil is not empty:
            assert any("mirror" in str(line).lower() and line.get("level") in ("warn", "error")
                       for line in server.log_lines()), server.log_text()[-2000:]
            assert len([one for one in path.parent.rglob("*") if one.is_file() and one.name.startswith(path.stem)]) >= 2
        deliver(mailbox, [999])
        assert numbers(client.messages())[0] == 999


def test_kill_9_in_the_middle_of_filling_a_folder_loses_nothing(run, mailbox, make_server):
    deliver(mailbox, range(1500))
    data_dir = None
    for round_ in range(3):
        server = make_server(first_page="50", backfill_batch="25", **({"data_dir": data_dir} if data_dir else {}))
        server.start()
        data_dir = server.data_dir
        client = Client(server, mailbox=mailbox)
        client.get(LIST, expect=200)
        wait_for(lambda: client.get(f"{ME}/folders/inbox", headers=MIRROR_IS_OLD).json["sync"]["messages"] > 200 * (round_ + 1), 20)
        server.expect_exit = -signal.SIGKILL
        server.signal(signal.SIGKILL)
        server.wait()
        server.stop_and_check()
        deliver(mailbox, [5000 + round_])
    with run(data_dir) as server:
        client = Client(server, mailbox=mailbox)
        wanted = [5002, 5001, 5000, *reversed(range(1500))]
        assert numbers(client.messages()) == wanted
        assert wait_for(lambda: client.get(LIST, expect=200).json["complete"], 60)
        with Witness(mailbox) as witness:
            assert [{name: item[name] for name in LISTED} for item in client.messages()] == [
                one.as_listed() for one in witness.look("INBOX")]
        assert not [line for line in server.log_lines() if line.get("level") == "error"]


def test_a_flag_that_was_acknowledged_survives_kill_9(make_server, run, mailbox):
    deliver(mailbox, [1])
    server = make_server()
    server.start()
    client = Client(server, mailbox=mailbox)
    client.patch(f"{ME}/messages/{client.messages()[0]['id']}", json={"seen": True}, expect=200)
    server.expect_exit = -signal.SIGKILL
    server.signal(signal.SIGKILL)
    server.wait()
    server.stop_and_check()
    with run(server.data_dir) as again:
        client = Client(again, mailbox=mailbox)
        client.get(ME, expect=200)
        answer = client.get(LIST, headers=MIRROR_IS_OLD, expect=200)
        assert answer.headers["X-Mail-Source"] == "mirror" and answer.json["items"][0]["seen"] is True


def never_answers(talk):
    talk.drain(20)


def silent_after_login(talk):
    talk.send(GREETING)
    while True:
        tag, words = talk.read_command()
        if words.upper().startswith(b"CAPABILITY"):
            talk.send(b"* CAPABILITY IMAP4rev1 NAMESPACE\r\n")
        elif words.upper().startswith((b"LOGIN", b"NAMESPACE", b"ID", b"ENABLE")):
            pass
        else:
            talk.drain(20)
            return
        talk.answer(tag)


def test_a_mail_server_that_accepts_and_never_answers_costs_one_deadline(start_server, mailbox):
    client = Client(start_server(connect_timeout="1s", request_timeout="3s", host_down="5s"))
    with Recorder(never_answers) as recorder:
        target = mailbox.target("none", port=recorder.port)
        started = time.monotonic()
        answer = client.post("/v1/sessions", json=target)
        assert (answer.status, answer.code) == (504, "upstream-timeout")
        assert 0.8 < time.monotonic() - started < 3.5
        connections, started = recorder.connections, time.monotonic()
        for _ in range(3):
            assert client.post("/v1/sessions", json=target).status in (502, 504)
        assert time.monotonic() - started < 1
        assert recorder.connections == connections
    client.sign_in(mailbox)


def test_a_mail_server_that_falls_silent_costs_a_request_its_deadline(start_server, mailbox):
    client = Client(start_server(connect_timeout="2s", request_timeout="1500ms", host_down="5s"))
    with Recorder(silent_after_login) as recorder:
        signed_in = client.sign_in(mailbox, "none", port=recorder.port, password="plain words")
        started = time.monotonic()
        answer = signed_in.get(f"{ME}/folders")
        assert (answer.status, answer.code) == (504, "upstream-timeout")
        assert 1 < time.monotonic() - started < 4
        # Nobody else waits for it.
        started = time.monotonic()
        client.get("/v1", expect=200)
        assert time.monotonic() - started < 1
