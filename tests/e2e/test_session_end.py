"""Signing out ends what runs: a request that waits for the mail server, and a download in the middle."""

import http.client
import threading
import time

from support.client import Client
from support.harm import ME, SECTION, Harm, hold_with
from support.recorder import wait_for


def sign_in(server, harm):
    client = Client(server)
    client.token = client.post("/v1/sessions", json=harm.target(), expect=201).json["token"]
    server.tokens.append(client.token)
    return client


def test_a_request_that_waits_is_answered_at_once(server):
    with Harm([("LIST", hold_with())]) as harm:
        client, answers = sign_in(server, harm), []
        waiting = threading.Thread(target=lambda: answers.append(client.get(f"{ME}/folders")))
        waiting.start()
        assert wait_for(lambda: b"LIST" in harm.recorder.received)
        started = time.monotonic()
        client.sign_out()
        waiting.join(20)
        assert answers and time.monotonic() - started < 5
        assert (answers[0].status, answers[0].code) == (401, "unauthorized")


def test_a_download_is_cut(server):
    part = b"* 1 FETCH (UID 1 BODY[] {4000000}\r\n" + b"a" * 1000000
    with Harm([(SECTION, hold_with(part))]) as harm:
        client = sign_in(server, harm)
        items = client.get(f"{ME}/messages?folder=inbox&fields=id", expect=200).json["items"]
        with client.stream(f"{ME}/messages/{items[-1]['id']}/raw") as response:
            assert response.status == 200 and response.read(1000) == b"a" * 1000
            started = time.monotonic()
            client.sign_out()
            try:
                rest = response.read()
            except (http.client.IncompleteRead, ConnectionResetError) as cut:
                rest = getattr(cut, "partial", b"")
            assert len(rest) < 4000000 - 1000
            assert time.monotonic() - started < 5
