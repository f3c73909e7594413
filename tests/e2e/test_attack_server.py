"""A mail server that means harm: whoever signs in to it loses nothing but his own answers."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import Client
from support.harm import ME, RECORDS, Harm, message, say

MIB = 1024


@pytest.fixture
def victim(start_server, monkeypatch):
    """postern as anybody may use it; memory that was freed does not count."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0")
    return start_server(request_timeout="5s", connect_timeout="4s", host_down="0s")


def sign_in(server, harm):
    client = Client(server)
    client.token = client.post("/v1/sessions", json=harm.target(), expect=201).json["token"]
    server.tokens.append(client.token)
    return client


def test_a_search_that_names_every_uid_ends_in_time(victim):
    with Harm([(RECORDS, say(b"", status=b"NO not now")),
               ("UID SEARCH", say(b"* SEARCH 1:4294967295\r\n"))]) as harm:
        client = sign_in(victim, harm)
        started = time.monotonic()
        client.get(f"{ME}/messages?folder=inbox", expect=(200, 413, 502, 504))
        assert time.monotonic() - started < 7


@pytest.mark.parametrize("offers, pattern, data, times", [
    (b"IMAP4rev1", "SELECT", (b"* CAPABILITY IMAP4rev1 " + b"X" * 4000 + b"\r\n") * 10, 1500),
    (b"IMAP4rev1 NAMESPACE", "NAMESPACE", b'* NAMESPACE (("' + b"x" * 60000 + b'" "/")) NIL NIL\r\n', 1000),
    (b"IMAP4rev1 NAMESPACE", "NAMESPACE", b'* NAMESPACE ((NIL "' + b"x" * 60000 + b'")) NIL NIL\r\n', 1000),
    (b"IMAP4rev1 ID", "ID", b'* ID ("name" "' + b"x" * 60000 + b'")\r\n', 1000),
    (b"IMAP4rev1", "LIST", b'* LIST () "' + b"x" * 60000 + b'" a\r\n', 1000),
    (b"IMAP4rev1", "LIST", b'* LIST () "/" "' + b"x" * 60000 + b'"\r\n', 1000),
    (b"IMAP4rev1", "UID FETCH 3 .*HEADER", b"* 3 FETCH (UID 9 FLAGS (" + b"k" * 60000 + b') BODY[HEADER] "")\r\n', 1000),
], ids=["offers", "prefix", "namespace delimiter", "name", "delimiter", "folder name", "flags"])
def test_an_answer_repeated_without_end_takes_no_memory(victim, offers, pattern, data, times):
    with Harm([(pattern, say(data, times))], offers) as harm:
        before = victim.memory_kib()
        answer = Client(victim).post("/v1/sessions", json=harm.target(), expect=(201, 413, 502, 504))
        if answer.status == 201:
            client = Client(victim, token=answer.json["token"])
            victim.tokens.append(client.token)
            client.get(f"{ME}/folders", expect=(200, 413, 502, 504))
            listed = client.get(f"{ME}/messages?folder=inbox", expect=(200, 404, 413, 502, 504))
            if listed.status == 200:
                client.get(f"{ME}/messages/{listed.json['items'][0]['id']}", expect=(200, 410, 502, 504))
        assert victim.memory_kib() - before < 32 * MIB


def test_too_many_folders_are_refused_before_each_is_asked_for(victim):
    names = b"".join(b'* LIST () "/" f%d\r\n' % number for number in range(100_001))
    with Harm([("LIST", say(names))]) as harm:
        problem = sign_in(victim, harm).problem("GET", f"{ME}/folders", 502, "upstream-protocol")
        assert "mail_folders_max" in problem["detail"]
        assert b"STATUS" not in harm.recorder.received


@pytest.mark.parametrize("size", [b"18446744073709551615", b"9223372036854775808", b"-5", b"99999999999999999999999"])
def test_a_size_that_cannot_be_is_none(victim, size):
    with Harm([(RECORDS, say(message(1, size=size)))]) as harm:
        assert [item["size"] for item in sign_in(victim, harm).messages()] == [0]


def test_a_keyword_of_control_characters_is_none(victim):
    with Harm([(RECORDS, say(message(1, flags=b"\x01\x02 good")))]) as harm:
        assert [item["keywords"] for item in sign_in(victim, harm).messages()] == [["good"]]


def test_guesses_at_mailboxes_leave_nothing_on_disk(start_server):
    with Harm([("LOGIN", say(b"", status=b"NO [AUTHENTICATIONFAILED] no"))]) as harm:
        server = start_server(default_imap=f"none://127.0.0.1:{harm.recorder.port}")
        api = Client(server)
        for number in range(5):
            api.post("/v1/sessions", json=harm.target(username=f"guess-{number}@example.com"), expect=424)
        api.problem("GET", f"{ME}/folders", 401, "unauthorized", headers={"Authorization": "Basic Z3Vlc3M6Z3Vlc3M="})
        assert list((server.data_dir / "mirrors").iterdir()) == []


def test_guesses_made_at_once_are_counted_at_once(start_server):
    def refuse_slowly(talk, tag):
        time.sleep(0.5)
        talk.answer(tag, b"NO [AUTHENTICATIONFAILED] no")
        return True

    with Harm([('LOGIN "harm@example.com" "guess', refuse_slowly)]) as harm:
        api = Client(start_server(signin_failures_max=4))

        def guess(number):
            target = harm.target(password=f"guess {number}")
            return api.post("/v1/sessions", json=target, expect=(424, 429)).status
        with ThreadPoolExecutor(12) as pool:
            assert Counter(pool.map(guess, range(12))) == {424: 4, 429: 8}
        assert harm.recorder.received.count(b"LOGIN") == 4
        api.problem("POST", "/v1/sessions", 429, "throttled", json=harm.target())


def test_sign_ins_that_succeed_are_not_counted(start_server):
    with Harm() as harm:
        server = start_server(signin_failures_max=2)
        for _ in range(6):
            sign_in(server, harm).sign_out()


def test_a_mirror_that_cannot_be_made_tells_no_path(start_server):
    with Harm() as harm:
        server = start_server()
        (server.data_dir / "mirrors").rmdir()
        problem = sign_in(server, harm).problem("GET", f"{ME}/folders", 500, "store-failed")
        assert str(server.data_dir.parent) not in str(problem)
