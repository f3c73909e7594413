"""Who gets in: sessions, HTTP Basic, several accounts, and who does not."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import Client, basic_credentials
from support.letters import deliver
from support.mailbox import Mailbox
from support.recorder import GREETING, Recorder, dead_port, wait_for

ME = "/v1/accounts/me"


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_a_session_is_made_over(security, api, mailbox):
    answer = api.post("/v1/sessions", json=mailbox.target(security), expect=201)
    made = answer.json
    api.server.tokens.append(made["token"])
    assert answer.headers["Location"].endswith("/v1/sessions/current")
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["token"] and made["expiresAt"] > "2026"
    account = made["account"]
    assert (account["protocol"], account["host"], account["security"], account["username"], account["state"]) == (
        "imap", "localhost", security, mailbox.user, "ok")
    assert mailbox.password not in answer.text
    client = Client(api.server, token=made["token"])
    assert client.get(f"{ME}/folders", expect=200).json["items"]
    assert client.get(f"/v1/accounts/{account['id']}", expect=200).json["id"] == account["id"]


def test_security_defaults_to_tls(api, mailbox):
    target = mailbox.target()
    del target["security"]
    made = api.post("/v1/sessions", json=target, expect=201).json
    api.server.tokens.append(made["token"])
    assert made["account"]["security"] == "tls"


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_a_wrong_password_is_424(security, api, mailbox):
    problem = api.problem("POST", "/v1/sessions", 424, "upstream-login-failed",
                          json=mailbox.target(security, password="wrong horse battery"))
    assert problem["upstream"]["protocol"] == "imap"
    assert "horse" not in json.dumps(problem)


def test_an_unknown_user_is_424(api, mailbox):
    api.problem("POST", "/v1/sessions", 424, "upstream-login-failed", json=mailbox.target(username="nobody-at-all"))


@pytest.mark.parametrize("host, port", [
    ("10.1.2.3", 993), ("192.168.1.1", 993), ("169.254.169.254", 993), ("[::1]", 993), ("::1", 993), ("fe80::1", 143),
    ("127.0.0.2", 993), ("0.0.0.0", 993), ("::ffff:127.0.0.2", 993), ("224.0.0.1", 143), ("192.0.2.1", 993),
    ("8.8.8.8", 22), ("8.8.8.8", 25), ("8.8.8.8", 80), ("2130706434", 993)])
def test_a_host_or_port_that_is_not_allowed_is_refused(host, port, api, mailbox):
    answer = api.post("/v1/sessions", json=mailbox.target(host=host, port=port))
    assert (answer.status, answer.code) in [(403, "host-not-allowed"), (400, "invalid-request")], answer
    if answer.status == 400:
        assert answer.json["errors"][0]["pointer"] == "/host"
        assert "[" in host or host.isdigit()


def test_by_default_loopback_is_not_allowed(start_server, mailbox):
    server = start_server(allowed_hosts="", default_imap="")
    with Recorder() as recorder:
        for host in ("127.0.0.1", "localhost"):
            Client(server).problem("POST", "/v1/sessions", 403, "host-not-allowed",
                                   json=mailbox.target(host=host, port=recorder.port))
            Client(server).problem("POST", "/v1/sessions", 403, "host-not-allowed",
                                   json=mailbox.target(host=host, port=143, security="none"))
        assert recorder.connections == 0


def test_only_the_allowed_port_of_a_host_is_reached(start_server, mailbox):
    with Recorder() as recorder:
        server = start_server(allowed_hosts=f"127.0.0.1:{mailbox.dovecot.imap_port}", default_imap="")
        Client(server).sign_in(mailbox, "none", host="127.0.0.1")
        Client(server).problem("POST", "/v1/sessions", 403, "host-not-allowed",
                               json=mailbox.target("none", host="127.0.0.1", port=recorder.port))
        assert recorder.connections == 0


def test_an_unknown_host_name_is_unreachable(start_server, mailbox):
    server = start_server(allowed_hosts="*", connect_timeout="3s")
    answer = Client(server).post("/v1/sessions", json=mailbox.target(host="no-such-host.invalid"))
    assert (answer.status, answer.code) in [(502, "upstream-unreachable"), (504, "upstream-timeout")]


def test_a_port_where_nobody_listens_is_unreachable(api, mailbox):
    started = time.monotonic()
    api.problem("POST", "/v1/sessions", 502, "upstream-unreachable",
                json=mailbox.target("none", port=dead_port()))
    assert time.monotonic() - started < 5


# ---- OAuth ----

def test_an_access_token_signs_in(api, mailbox):
    token = mailbox.dovecot.mint_token(mailbox.user)
    client = api.sign_in(mailbox, password=None, accessToken=token)
    deliver(mailbox, [1])
    assert len(client.messages()) == 1


def test_an_expired_access_token_is_424(api, mailbox):
    token = mailbox.dovecot.mint_token(mailbox.user, -600)
    answer = api.post("/v1/sessions", json=mailbox.target(password=None, accessToken=token))
    assert (answer.status, answer.code) == (424, "upstream-login-failed")
    assert token not in answer.text


@pytest.mark.parametrize("mechanism", [b"XOAUTH2", b"OAUTHBEARER"])
def test_the_mechanism_is_the_one_that_the_server_offers(mechanism, api, mailbox):
    def serve(talk):
        talk.send(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=" + mechanism + b"] ready\r\n")
        while True:
            tag, words = talk.read_command()
            if words.upper().startswith(b"AUTHENTICATE"):
                words = words.split()
                if len(words) < 3:
                    talk.send(b"+ \r\n")
                    words.append(talk.read_line())
                shown.append((words[1].upper(), base64.b64decode(words[2])))
                talk.send(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
                talk.read_line()
                talk.answer(tag, b"NO [AUTHENTICATIONFAILED] expired")
            elif words.upper().startswith(b"CAPABILITY"):
                talk.send(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=" + mechanism + b"\r\n")
                talk.answer(tag)
            else:
                talk.answer(tag)
    shown = []
    with Recorder(serve) as recorder:
        api.problem("POST", "/v1/sessions", 424, "upstream-login-failed",
                    json=mailbox.target("none", port=recorder.port, password=None, accessToken="secret-token-77"))
    used, said = shown[0]
    assert used == mechanism and b"auth=Bearer secret-token-77" in said and mailbox.user.encode() in said


# ---- tokens ----

def test_the_current_session_tells_itself(session, mailbox):
    current = session.get("/v1/sessions/current", expect=200).json
    assert [account["username"] for account in current["accounts"]] == [mailbox.user]
    assert current["expiresAt"]
    assert session.token not in json.dumps(current) and mailbox.password not in json.dumps(current)


def test_a_deleted_session_is_401_from_then_on(session):
    session.get(f"{ME}/folders", expect=200)
    session.sign_out()
    for path in ("/v1/sessions/current", f"{ME}/folders", f"{ME}/messages?folder=inbox", "/v1/accounts"):
        answer = session.get(path, expect=401)
        assert answer.code == "unauthorized" and "Bearer" in answer.headers["WWW-Authenticate"]
    session.delete("/v1/sessions/current", expect=401)


def test_a_deleted_session_logs_out_of_the_mail_server(start_server, mailbox):
    client = Client(start_server()).sign_in(mailbox)
    client.get(f"{ME}/folders", expect=200)
    assert mailbox.user in mailbox.dovecot.doveadm("who")
    client.sign_out()
    assert wait_for(lambda: mailbox.user not in mailbox.dovecot.doveadm("who"), 5)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x", "bearer ps_aaaa", "Basic", "Basic !!!", "Basic Og==",
                                    "Digest x", "ps_0000000000000000000000000000000000000000000", "Bearer " + "x" * 4000])
def test_what_is_no_token_is_401(header, api):
    answer = api.get(f"{ME}/folders", headers={"Authorization": header}, expect=401)
    assert answer.code == "unauthorized" and answer.headers["WWW-Authenticate"]


def test_no_credentials_are_401_on_every_path_of_an_account(api):
    for path in ("/v1/accounts", ME, f"{ME}/folders", f"{ME}/messages", f"{ME}/messages/abc/raw", "/v1/sessions/current",
                 f"{ME}/quota", f"{ME}/capabilities"):
        assert api.get(path, expect=401).code == "unauthorized"


def test_a_token_is_not_taken_from_the_url(session, api):
    for name in ("token", "access_token", "key"):
        answer = api.get(f"{ME}/folders?{name}={session.token}")
        assert answer.status in (400, 401)
        assert session.token not in answer.text
    api.get(f"http://x:{session.token}@localhost{ME}/folders")


def test_a_token_with_one_letter_changed_is_401(session):
    for at in range(0, len(session.token), 3):
        other = "A" if session.token[at] != "A" else "B"
        # The last base64 letter carries bits that stand for nothing.
        changed = session.token[:at] + other + session.token[at + 1:]
        Client(session.server, token=changed).get("/v1/sessions/current", expect=401)


def test_a_session_ends_when_nobody_uses_it(start_server, mailbox):
    server = start_server(session_idle="1s")
    client = Client(server).sign_in(mailbox)
    for _ in range(4):
        time.sleep(0.4)
        client.get("/v1/sessions/current", expect=200)
    time.sleep(1.3)
    client.get("/v1/sessions/current", expect=401)
    client.get(f"{ME}/folders", expect=401)
    assert wait_for(lambda: mailbox.user not in mailbox.dovecot.doveadm("who"), 5)


# ---- several accounts ----

def test_one_session_holds_several_accounts(session, mailbox, new_mailbox):
    other = new_mailbox()
    deliver(mailbox, [1])
    deliver(other, [2, 3])
    added = session.post("/v1/sessions/current/accounts", json=other.target("starttls"), expect=201)
    assert added.headers["Location"].endswith(f"/v1/accounts/{added.json['id']}")
    accounts = session.get("/v1/accounts", expect=200).json["items"]
    assert [account["username"] for account in accounts] == [mailbox.user, other.user]
    assert accounts == session.get("/v1/sessions/current/accounts", expect=200).json["items"]
    counts = [len(session.get(f"/v1/accounts/{account['id']}/messages?folder=inbox", expect=200).json["items"])
              for account in accounts]
    assert counts == [1, 2]
    assert session.get(ME, expect=200).json["id"] == accounts[0]["id"]


def test_the_same_account_twice_is_409(session, mailbox):
    session.problem("POST", "/v1/sessions/current/accounts", 409, "already-exists", json=mailbox.target())


def test_an_account_that_fails_to_sign_in_is_not_added(session, new_mailbox):
    session.problem("POST", "/v1/sessions/current/accounts", 424, "upstream-login-failed",
                    json=new_mailbox().target(password="wrong"))
    assert len(session.get("/v1/accounts", expect=200).json["items"]) == 1


def test_an_account_of_another_session_is_404(session, api, new_mailbox):
    stranger = api.sign_in(new_mailbox())
    ident = stranger.get("/v1/accounts", expect=200).json["items"][0]["id"]
    for path in ("", "/folders", "/messages?folder=inbox", "/capabilities", "/quota"):
        assert session.get(f"/v1/accounts/{ident}{path}", expect=404).code == "not-found"


def test_an_account_id_is_the_same_in_every_session(api, mailbox):
    first, second = api.sign_in(mailbox), api.sign_in(mailbox)
    assert first.get(ME, expect=200).json["id"] == second.get(ME, expect=200).json["id"]


def test_verify_tries_a_sign_in_and_keeps_nothing(api, mailbox):
    verified = api.post("/v1/accounts:verify", json=mailbox.target(), expect=200)
    assert mailbox.password not in verified.text and "token" not in verified.json
    api.problem("POST", "/v1/accounts:verify", 424, "upstream-login-failed", json=mailbox.target(password="no"))
    assert wait_for(lambda: mailbox.user not in mailbox.dovecot.doveadm("who"), 5)


# ---- HTTP Basic ----

def test_basic_reads_the_mailbox(basic, mailbox):
    deliver(mailbox, [1, 2])
    assert len(basic.messages()) == 2
    assert basic.get(ME, expect=200).json["username"] == mailbox.user


def test_a_wrong_basic_password_is_401_with_a_challenge(basic, mailbox):
    answer = basic.get(f"{ME}/folders", headers={"Authorization": basic_credentials(mailbox.user, "wrong")}, expect=401)
    assert answer.code == "unauthorized" and 'Basic realm="postern"' in answer.headers["WWW-Authenticate"]
    basic.get(f"{ME}/folders", expect=200)


def test_without_a_default_server_basic_is_401_and_not_offered(start_server, mailbox):
    client = Client(start_server(default_imap="", default_pop3=""), mailbox=mailbox)
    answer = client.get(f"{ME}/folders", expect=401)
    assert "Basic" not in answer.headers["WWW-Authenticate"]


def test_a_changed_basic_password_is_never_accepted_because_an_older_one_was(basic, mailbox, mailboxes):
    basic.get(f"{ME}/folders", expect=200)
    # Never known to the mail server: the warm session behind the right one must not help it.
    other = Client(basic.server, mailbox=Mailbox(mailbox.dovecot, mailbox.user, "another pass word"))
    other.get(f"{ME}/folders", expect=401)
    change_password(mailboxes, mailbox, "another pass word")
    other.get(f"{ME}/folders", expect=200)


def test_an_old_basic_password_ends_when_the_mail_server_refuses_it(basic, mailbox, mailboxes):
    basic.get(f"{ME}/folders", expect=200)
    change_password(mailboxes, mailbox, "brand new pass word")
    mailbox.kick()
    basic.get(f"{ME}/folders", expect=401)
    basic.get(f"{ME}/folders", headers={"Cache-Control": "max-stale"}, expect=401)
    fresh = Client(basic.server, mailbox=Mailbox(mailbox.dovecot, mailbox.user, "brand new pass word"))
    fresh.get(f"{ME}/folders", expect=200)


def test_a_session_whose_password_was_changed_reads_nothing_more(session, mailbox, mailboxes):
    deliver(mailbox, [1])
    item = session.messages()[0]
    change_password(mailboxes, mailbox, "brand new pass word")
    mailbox.kick()
    stale = {"Cache-Control": "max-stale, stale-if-error=600"}
    session.get(f"{ME}/messages?folder=inbox", expect=424)
    for path in ("/messages?folder=inbox", "/folders", f"/messages/{item['id']}", f"/messages/{item['id']}/raw"):
        assert session.get(ME + path, headers=stale, expect=424).code == "upstream-login-failed"
    assert session.get(ME, expect=200).json["state"] == "login-failed"


def test_basic_credentials_may_hold_quotes_and_umlauts(api, new_mailbox):
    box = new_mailbox(password="q\"b\\s ü€ {3}%")
    Client(api.server, mailbox=box).get(f"{ME}/folders", expect=200)


def test_fifty_basic_requests_at_once_make_one_session(start_server, mailbox):
    deliver(mailbox, range(5))
    server = start_server()
    client = Client(server, mailbox=mailbox)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: client.get(f"{ME}/messages?folder=inbox"), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert {len(answer.json["items"]) for answer in answers} == {5}
    assert gauge(client, "postern_sessions") == 1


def test_failed_sign_ins_are_throttled(start_server, mailbox, new_mailbox):
    client = Client(start_server(signin_failures_max=3, signin_window="3s"))
    with Recorder(refuse_login) as recorder:
        target = mailbox.target("none", port=recorder.port, password="plain words")
        for _ in range(3):
            client.problem("POST", "/v1/sessions", 424, "upstream-login-failed", json=target)
        before = recorder.connections
        answer = client.post("/v1/sessions", json=target, expect=429)
        assert answer.code == "throttled" and 1 <= int(answer.headers["Retry-After"]) <= 4
        assert recorder.connections == before
    # The right credentials of another account are not hindered by it.
    client.sign_in(new_mailbox())
    time.sleep(int(answer.headers["Retry-After"]) + 0.2)
    assert client.post("/v1/sessions", json=target).status != 429


def test_failed_basic_sign_ins_are_throttled_too(start_server, mailbox):
    client = Client(start_server(signin_failures_max=3, signin_window="1m"))
    for number in range(3):
        wrong = {"Authorization": basic_credentials(mailbox.user, f"wrong {number}")}
        client.get(f"{ME}/folders", headers=wrong, expect=401)
    answer = client.get(f"{ME}/folders", headers={"Authorization": basic_credentials(mailbox.user, "wrong x")}, expect=429)
    assert answer.code == "throttled" and int(answer.headers["Retry-After"]) > 0


def refuse_login(talk):
    talk.send(GREETING)
    while True:
        tag, words = talk.read_command()
        if words.upper().startswith(b"CAPABILITY"):
            talk.send(b"* CAPABILITY IMAP4rev1\r\n")
            talk.answer(tag)
        elif words.upper().startswith((b"LOGIN", b"AUTHENTICATE")):
            talk.answer(tag, b"NO [AUTHENTICATIONFAILED] no")
        else:
            talk.answer(tag)


def change_password(mailboxes, mailbox, password):
    """Behind everybody's back: `mailbox` keeps the old one."""
    mailboxes.set_password(Mailbox(mailbox.dovecot, mailbox.user, mailbox.password), password)


def gauge(client, name):
    for line in client.get("/metrics", expect=200).text.splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name}")
