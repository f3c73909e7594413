"""Certificates that must be refused, connections that somebody stripped: told exactly, and nothing given away."""

import base64
import json

import certs
import pytest
from support.client import Client
from support.recorder import Recorder

ME = "/v1/accounts/me"
KINDS = {"wrong-name": ("name", "certificate is for"), "expired": ("expired",), "unknown-ca": ("unknown", "issuer", "ca", "trust")}


@pytest.fixture(scope="module")
def certificate(dovecot):
    def make(kind):
        return certs.make_server(dovecot.directory / "certs", kind)
    return make


def refused(api, target):
    problem = api.problem("POST", "/v1/sessions", 502, "upstream-tls", json=target)
    assert target["password"] not in json.dumps(problem)
    return problem["detail"].lower()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_certificate_is_said_to_be(kind, api, mailbox, certificate):
    with Recorder(certificate=certificate(kind)) as recorder:
        detail = refused(api, mailbox.target("tls", port=recorder.port))
        assert any(word in detail for word in KINDS[kind]), detail
        assert recorder.connections == 1
        assert recorder.received == b""


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_certificate_behind_starttls_is_said_to_be(kind, api, mailbox, certificate):
    def serve(talk):
        offer_starttls(talk, lambda: talk.start_tls(certificate(kind)))
    with Recorder(serve) as recorder:
        detail = refused(api, mailbox.target("starttls", port=recorder.port))
        assert any(word in detail for word in KINDS[kind]), detail
        assert no_credential(recorder, mailbox)


def test_the_good_certificate_under_another_name_is_refused(api, mailbox, certificate):
    with Recorder(certificate=certificate("wrong-name")) as recorder:
        detail = refused(api, mailbox.target("tls", host="127.0.0.1", port=recorder.port))
        assert "name" in detail or "certificate is for" in detail
        assert recorder.received == b""


def test_a_certificate_for_an_address_is_good_for_that_address(api, mailbox):
    api.sign_in(mailbox, host="127.0.0.1")


def test_plain_text_where_tls_was_expected_is_a_tls_problem(api, mailbox):
    with Recorder() as recorder:
        answer = api.post("/v1/sessions", json=mailbox.target("tls", port=recorder.port))
        assert (answer.status, answer.code) == (502, "upstream-tls")
        assert no_credential(recorder, mailbox)


def test_a_server_that_does_not_offer_starttls_gets_no_credentials(api, mailbox):
    def serve(talk):
        talk.send(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n")
        while True:
            tag, words = talk.read_command()
            if words.upper().startswith(b"CAPABILITY"):
                talk.send(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
                talk.answer(tag)
            else:
                talk.answer(tag, b"BAD unknown command")
    with Recorder(serve) as recorder:
        refused(api, mailbox.target("starttls", port=recorder.port))
        assert no_credential(recorder, mailbox)


def test_a_server_that_refuses_starttls_gets_no_credentials(api, mailbox):
    def serve(talk):
        offer_starttls(talk, None)
    with Recorder(serve) as recorder:
        refused(api, mailbox.target("starttls", port=recorder.port))
        assert no_credential(recorder, mailbox)


@pytest.mark.parametrize("injected", [b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"a2 OK LOGIN done\r\n", b"x"])
def test_bytes_injected_behind_starttls_end_the_connection(injected, api, mailbox, certificate):
    def serve(talk):
        talk.send(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
        while True:
            tag, words = talk.read_command()
            if words.upper().startswith(b"STARTTLS"):
                talk.send(tag + b" OK begin\r\n" + injected)
                talk.start_tls(certificate("good"))
                talk.drain()
                return
            talk.send(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n")
            talk.answer(tag)
    with Recorder(serve) as recorder:
        refused(api, mailbox.target("starttls", port=recorder.port))
        assert no_credential(recorder, mailbox)


def test_capabilities_told_before_tls_are_forgotten(api, mailbox, certificate):
    """Before TLS anybody may have said AUTH=XOAUTH2; inside it there is only LOGIN."""
    said = []

    def serve(talk):
        talk.send(b"* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n")
        secure = False
        while True:
            tag, words = talk.read_command()
            if words.upper().startswith(b"STARTTLS"):
                talk.send(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\n")
                talk.answer(tag)
                talk.start_tls(certificate("good"))
                secure = True
            elif words.upper().startswith(b"CAPABILITY"):
                talk.send(b"* CAPABILITY IMAP4rev1" + (b"" if secure else b" STARTTLS AUTH=XOAUTH2") + b"\r\n")
                talk.answer(tag)
            else:
                said.append(words.split()[0].upper())
                talk.answer(tag, b"NO [AUTHENTICATIONFAILED] no")
    with Recorder(serve) as recorder:
        answer = api.post("/v1/sessions", json=mailbox.target("starttls", port=recorder.port, password=None,
                                                              accessToken="zz-secret-token"))
        assert answer.status in (422, 424, 502)
        assert b"AUTHENTICATE" not in said


@pytest.mark.parametrize("security", ["starttls", "none"])
def test_a_preauth_greeting_is_refused(security, api, mailbox):
    def serve(talk):
        talk.send(b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome somebody\r\n")
        talk.drain(5)
    with Recorder(serve) as recorder:
        answer = api.post("/v1/sessions", json=mailbox.target(security, port=recorder.port))
        assert answer.status == 502 and answer.code in ("upstream-tls", "upstream-protocol", "upstream-refused")
        assert no_credential(recorder, mailbox)


@pytest.mark.parametrize("greeting", [b"* BYE too busy\r\n", b"220 smtp.example.com ESMTP\r\n", b"", b"* OK [BADCHARSET (\"x\")] x\r\n",
                                      b"* OK [PERMANENTFLAGS (\r\n", b"* OK " + b"x" * 200_000, b"\0\0\0\0\r\n",
                                      b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_is_no_imap_server_is_a_problem_and_no_more(greeting, api, mailbox):
    def serve(talk):
        talk.send(greeting)
        talk.drain(0.5)
    with Recorder(serve) as recorder:
        answer = api.post("/v1/sessions", json=mailbox.target("none", port=recorder.port))
        assert answer.status in (502, 503, 504), answer
    api.get("/healthz", expect=200)


def test_a_server_that_floods_is_cut(api, mailbox):
    def serve(talk):
        talk.send(b"* OK ready\r\n")
        tag, _ = talk.read_command()
        for _ in range(3000):
            talk.send(b"* 1 EXISTS\r\n" * 1000)
        talk.answer(tag)
        talk.drain(1)
    with Recorder(serve) as recorder:
        answer = api.post("/v1/sessions", json=mailbox.target("none", port=recorder.port))
        assert answer.status in (502, 504), answer


@pytest.mark.parametrize("literal", [b"{4294967295}", b"{99999999999999999999}", b"{-1}", b"{16777216}"])
def test_a_literal_that_lies_holds_nobody_up(literal, start_server, mailbox):
    api = Client(start_server(connect_timeout="2s"))
    def serve(talk):
        talk.send(b"* OK ready\r\n")
        while True:
            tag, words = talk.read_command()
            talk.send(b"* LIST () \"/\" " + literal + b"\r\nabc\r\n")
            talk.answer(tag)
    with Recorder(serve) as recorder:
        assert api.post("/v1/sessions", json=mailbox.target("none", port=recorder.port)).status in (424, 502, 504)
    api.get("/healthz", expect=200)


def offer_starttls(talk, start):
    """Offers STARTTLS; start None: refuses it when it is asked for."""
    talk.send(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] ready\r\n")
    while True:
        tag, words = talk.read_command()
        if words.upper().startswith(b"CAPABILITY"):
            talk.send(b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n")
            talk.answer(tag)
        elif words.upper().startswith(b"STARTTLS") and start:
            talk.answer(tag)
            start()
            talk.drain()
            return
        else:
            talk.answer(tag, b"NO not today")


def no_credential(recorder, mailbox):
    seen = bytes(recorder.received)
    shapes = [mailbox.user.encode(), mailbox.password.encode(), base64.b64encode(mailbox.password.encode()),
              b"LOGIN", b"AUTHENTICATE"]
    assert not any(shape in seen for shape in shapes), seen
    return True
