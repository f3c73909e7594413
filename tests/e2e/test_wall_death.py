"""A worker process dies: by a signal from outside under load, by a crash, by a lie. Nobody else loses anything."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from support.client import Client
from support.harm import ME, Harm
from support.recorder import wait_for

KILLS = 50


def is_gone(pid):
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Load:
    """Reads and writes of several sessions, each request with the time it began and ended."""

    def __init__(self, server, mailbox, clients=4):
        self.seen, self.broken, self._over = [], [], threading.Event()
        sessions = [Client(server).sign_in(mailbox) for _ in range(clients)]
        self.items = [item["id"] for item in sessions[0].get(f"{ME}/messages?folder=inbox").json["items"]]
        self._threads = [threading.Thread(target=self._run, args=(one, number), daemon=True)
                         for number, one in enumerate(sessions)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, client, number):
        dice = random.Random(number)
        while not self._over.is_set():
            item = dice.choice(self.items)
            method, path, body = dice.choice([
                ("GET", f"{ME}/messages?folder=inbox", None), ("GET", f"{ME}/messages/{item}", None),
                ("GET", f"{ME}/messages/{item}/headers", None), ("GET", f"{ME}/messages/{item}/parts/1", None),
                ("GET", f"{ME}/folders", None), ("PATCH", f"{ME}/messages/{item}", {"seen": bool(dice.randrange(2))})])
            began = time.monotonic()
            try:
                answer = client.request(method, path, json=body)
                self.seen.append((began, time.monotonic(), method, path, answer.status, answer.code))
            except Exception as failure:  # also a body cut short, which only a kill may explain
                self.broken.append((began, time.monotonic(), method, path, repr(failure)))


def test_fifty_killed_workers_fail_only_what_they_were_doing(start_server, new_mailbox):
    mailbox, server, kills = new_mailbox(), start_server(workers=2), []
    mailbox.fill("INBOX", 20)
    with Load(server, mailbox) as load:
        dice = random.Random(50)
        for _ in range(KILLS):
            time.sleep(0.1 + dice.random() * 0.1)
            victim = dice.choice(server.workers())
            os.kill(victim, signal.SIGKILL)
            kills.append(time.monotonic())
            assert wait_for(lambda pid=victim: is_gone(pid))
        time.sleep(0.5)
        settled = time.monotonic()
        time.sleep(1)
    failed = [one for one in load.seen if one[4] != 200] + load.broken
    for one in failed:
        during = sum(one[0] - 0.05 <= kill <= one[1] for kill in kills)
        assert during, f"no worker was killed meanwhile: {one}"
        if one in load.broken:
            continue
        assert one[4:] == (502, "upstream-protocol"), one
        assert one[2] == "PATCH" or during > 1, f"a read was not tried again: {one}"
    assert not [one for one in failed if one[0] > settled]
    assert len([one for one in load.seen if one[0] > settled]) > 20, "nothing was asked afterwards"
    assert len(load.seen) > 10 * len(failed), (len(load.seen), len(failed))
    died = server.log_lines("worker.died")
    assert len(died) == KILLS
    metrics = Client(server).get("/metrics").text
    assert 'postern_worker_deaths_total{reason="killed"} 50' in metrics
    assert "postern_quarantined_hosts 0" in metrics, "a signal from outside accuses nobody"


@pytest.fixture
def crashing(start_server, monkeypatch, request):
    """postern whose workers crash at a chosen point while they serve 127.0.0.1; the real server is localhost."""
    monkeypatch.setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0")
    return start_server(workers=2, request_timeout="5s", connect_timeout="5s", host_down="0s",
                        environment={"POSTERN_CRASH": request.param})


def neighbour_of(server, new_mailbox):
    mailbox = new_mailbox()
    mailbox.fill("INBOX", 3)
    client = Client(server).sign_in(mailbox)
    assert len(client.messages()) == 3
    return client


CRASHES = ["open:segv@127.0.0.1", "call:segv@127.0.0.1", "record:segv@127.0.0.1", "end:segv@127.0.0.1",
           "record:abort@127.0.0.1", "end:exit@127.0.0.1"]


@pytest.mark.parametrize("crashing", CRASHES, indirect=True, ids=[crash.split("@")[0] for crash in CRASHES])
def test_a_crash_costs_only_its_own_user_and_puts_the_host_in_quarantine(crashing, new_mailbox):
    neighbour = neighbour_of(crashing, new_mailbox)
    with Harm() as harm:
        answer = Client(crashing).post("/v1/sessions", json=harm.target(), expect=(201, 502))
        if answer.status == 201:
            crashing.tokens.append(answer.json["token"])
            answer = Client(crashing, token=answer.json["token"]).get(f"{ME}/messages?folder=inbox", expect=502)
        assert answer.code == "upstream-protocol"
        assert len(neighbour.messages()) == 3
        assert crashing.wait_for_event("host.quarantined")["host"] == "127.0.0.1"
        died = crashing.log_lines("worker.died")
        assert "127.0.0.1" in died[0]["served"] and died[0]["reason"] == "crash"
        deaths = len(died)
        # Now it crashes a worker of its own, and after each crash there is a longer pause.
        paused = [Client(crashing).post("/v1/sessions", json=harm.target(), expect=502) for _ in range(6)]
        assert any(int(one.headers.get("Retry-After") or 0) >= 1 for one in paused)
        assert len(crashing.log_lines("worker.died")) - deaths < len(paused), "there was no pause"
        for _ in range(5):
            assert len(neighbour.messages()) == 3
    assert "postern_quarantined_hosts 1" in Client(crashing).get("/metrics").text


@pytest.mark.parametrize("crashing", ["record:segv@localhost"], indirect=True, ids=["record"])
def test_a_letter_that_crashes_workers_keeps_nobody_else_from_that_mail_server(crashing, new_mailbox):
    mailbox, other, wait_s = new_mailbox(), new_mailbox(), 0
    mailbox.fill("INBOX", 1)
    reader = Client(crashing).sign_in(mailbox)
    while wait_s < 2:
        time.sleep(0.3)
        answer = reader.get(f"{ME}/messages?folder=inbox", expect=502)
        wait_s = int(answer.headers.get("Retry-After") or 0)
    Client(crashing).sign_in(other)
    assert crashing.wait_for_event("host.quarantined")["host"] == "localhost"


@pytest.mark.parametrize("crashing", ["record:lie@127.0.0.1"], indirect=True, ids=["record"])
def test_a_worker_that_lies_is_ended(crashing, new_mailbox):
    neighbour = neighbour_of(crashing, new_mailbox)
    with Harm() as harm:
        answer = Client(crashing).post("/v1/sessions", json=harm.target(), expect=201)
        crashing.tokens.append(answer.json["token"])
        Client(crashing, token=answer.json["token"]).problem("GET", f"{ME}/messages?folder=inbox", 502, "upstream-protocol")
    assert crashing.wait_for_event("worker.died")["reason"] == "accused"
    assert len(neighbour.messages()) == 3


@pytest.mark.parametrize("crashing", ["call:open@127.0.0.1", "call:socket@127.0.0.1"], indirect=True, ids=["open", "socket"])
def test_a_worker_opens_no_file_and_no_socket(crashing):
    with Harm() as harm:
        answer = Client(crashing).post("/v1/sessions", json=harm.target(), expect=201)
        crashing.tokens.append(answer.json["token"])
        Client(crashing, token=answer.json["token"]).get(f"{ME}/folders", expect=200)
    [event] = {line["event"] for line in crashing.log_lines() if line["event"].startswith("crash.")}
    assert crashing.log_lines(event)[0]["errno"] in (1, 13), "EPERM or EACCES"


@pytest.mark.parametrize("crashing", ["call:exec@127.0.0.1"], indirect=True, ids=["exec"])
def test_a_worker_that_executes_a_program_is_ended_by_the_kernel(crashing, new_mailbox):
    neighbour = neighbour_of(crashing, new_mailbox)
    with Harm() as harm:
        answer = Client(crashing).post("/v1/sessions", json=harm.target(), expect=(201, 502))
        if answer.status == 201:
            crashing.tokens.append(answer.json["token"])
            Client(crashing, token=answer.json["token"]).get(f"{ME}/folders", expect=502)
    assert crashing.wait_for_event("worker.died")["signal"] == "SYS"
    assert len(neighbour.messages()) == 3


def test_workers_end_with_the_process_that_started_them(make_server, new_mailbox):
    server = make_server(workers=2)
    server.start()
    Client(server).sign_in(new_mailbox())
    workers = server.workers()
    assert len(workers) == 2
    server.expect_exit = -signal.SIGKILL
    server.signal(signal.SIGKILL)
    server.wait()
    assert wait_for(lambda: all(is_gone(pid) for pid in workers))
    server.stop_and_check()


def test_a_worker_holds_no_file_and_hardly_an_environment(start_server):
    server = start_server(workers=2)
    for pid in server.workers():
        links = [os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir()]
        named = [link for link in links if link.startswith("/") and link != "/dev/null"
                 and Path(link) != server.log_file]
        assert not named
        names = {word.split(b"=")[0].decode() for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if word}
        assert names <= {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "POSTERN_CRASH", "G_SLICE",
                         "SSL_CERT_FILE", "SSL_CERT_DIR"}
