"""The private mail server, its sample mailbox and the demo do what the other tests rely on."""

import imaplib
import os
import poplib
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bulk
import certs
import sample
from dovecot import Dovecot
from imapwire import encode_folder, quote

USER, PASSWORD = sample.USER, "demo"
HERE = Path(__file__).resolve().parent

# Just enough of a server for demo.py: it answers every path, and ends with 7 when asked for /end.
STAND_IN = """#!/usr/bin/python3
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(7)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
host, port = os.environ["POSTERN_LISTEN"].split(":")
http.server.HTTPServer((host, int(port)), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Dovecot(tmp_path_factory.mktemp("mail"), {USER: PASSWORD}) as running:
        sample.load(running, USER)
        yield running


@pytest.fixture
def imap(server):
    connection = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
    connection.login(USER, PASSWORD)
    yield connection
    connection.logout()


@pytest.fixture
def trust(server):
    return ssl.create_default_context(cafile=server.ca_file)


def test_imap_pop3_and_their_tls_ports_let_the_user_in(server, trust):
    imaps = imaplib.IMAP4_SSL("localhost", server.imaps_port, ssl_context=trust, timeout=10)
    starttls = imaplib.IMAP4("localhost", server.imap_port, timeout=10)
    starttls.starttls(trust)
    for connection in (imaps, starttls):
        assert connection.login(USER, PASSWORD)[0] == "OK"
        connection.logout()
    pop3s = poplib.POP3_SSL("localhost", server.pop3s_port, context=trust, timeout=10)
    stls = poplib.POP3("localhost", server.pop3_port, timeout=10)
    stls.stls(trust)
    for connection in (pop3s, stls):
        connection.user(USER)
        connection.pass_(PASSWORD)
        assert connection.stat()[0] == sum(one.folder == "INBOX" for one in sample.messages())
        connection.quit()


def test_a_wrong_password_is_refused(server):
    connection = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        connection.login(USER, "wrong")


@pytest.mark.parametrize("mechanism, form", [("XOAUTH2", "user={0}\1auth=Bearer {1}\1\1"),
                                             ("OAUTHBEARER", "n,a={0},\1auth=Bearer {1}\1\1")])
def test_a_minted_token_signs_in_and_an_expired_one_does_not(server, mechanism, form):
    def sign_in(token):
        connection = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
        return connection.authenticate(mechanism, lambda _: form.format(USER, token).encode())
    assert sign_in(server.mint_token(USER))[0] == "OK"
    with pytest.raises(imaplib.IMAP4.error):
        sign_in(server.mint_token(USER, lifetime_s=-60))


@pytest.mark.parametrize("kind, complaint", [("wrong-name", "Hostname mismatch"), ("expired", "expired"),
                                             ("unknown-ca", "unable to get local issuer")])
def test_a_bad_certificate_is_bad_in_its_own_way(tmp_path, kind, complaint):
    with Dovecot(tmp_path, {}, certificate=certs.make_server(tmp_path / "certs", kind)) as bad:
        context = ssl.create_default_context(cafile=bad.ca_file)
        with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
            imaplib.IMAP4_SSL("localhost", bad.imaps_port, ssl_context=context, timeout=10)


def test_the_wanted_extensions_are_offered(imap):
    offered = set(imap.capability()[1][0].decode().split())
    assert {"CONDSTORE", "QRESYNC", "LIST-STATUS", "SPECIAL-USE", "ESEARCH", "ID", "MOVE", "UIDPLUS", "PREVIEW",
            "NAMESPACE", "QUOTA", "IDLE", "LITERAL+", "MULTIAPPEND"} <= offered


def test_quota_is_told(imap):
    status, (roots, quotas) = imap.getquotaroot("INBOX")
    assert status == "OK" and b"User quota" in roots[0]
    used_kib = int(quotas[0].split(b"STORAGE ")[1].split()[0])
    assert used_kib > sample.BIG_ATTACHMENT_BYTES // 1024


def test_folders_have_their_roles_and_their_names(imap):
    lines = [line.decode() for line in imap.list()[1]]
    for role in ("Sent", "Drafts", "Trash", "Junk", "Archive"):
        assert any(f"\\{role}" in line and line.endswith(f" {role}") for line in lines), role
    for folder in sample.FOLDERS:
        assert any(line.endswith((f" {encode_folder(folder)}", f' "{encode_folder(folder)}"'))
                   for line in lines), folder


def test_modified_utf7_is_as_rfc_3501_says():
    assert encode_folder("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert encode_folder("Arbeit & Spaß") == "Arbeit &- Spa&AN8-"


@pytest.mark.parametrize("folder", sample.FOLDERS)
def test_the_sample_arrives_whole_with_flags_and_dates(imap, folder):
    wanted = [one for one in sample.messages() if one.folder == folder]
    imap.select(quote(encode_folder(folder)), readonly=True)
    assert len(imap.uid("SEARCH", "ALL")[1][0].split()) == len(wanted)
    for number, one in enumerate(wanted, 1):
        answer = imap.fetch(str(number), "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        about = b" ".join([answer[0][0], answer[1] if isinstance(answer[1], bytes) else b""])
        assert answer[0][1] == one.data
        flags = {flag.decode() for flag in imaplib.ParseFlags(about)} - {"\\Recent"}
        assert flags == set(one.flags)
        assert time.mktime(imaplib.Internaldate2tuple(about)) == one.internaldate.timestamp()


def test_the_sample_is_the_same_each_time():
    first = sample.messages()
    sample.messages.cache_clear()
    assert sample.messages() == first


def test_hostile_mail_is_taken_and_given_back_as_it_was(server, imap):
    mails = sample.hostile()
    uids = {name: server.deliver(USER, "Hostile", data) for name, data in mails.items()}
    imap.select("Hostile", readonly=True)
    for name in set(mails) - {"nul bytes", "only LF"}:
        assert imap.uid("FETCH", str(uids[name]), "(BODY.PEEK[])")[1][0][1] == mails[name], name


def test_a_kicked_client_is_gone_and_delivery_goes_on(server):
    connection = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
    connection.login(USER, PASSWORD)
    before = server.deliver(USER, "Kicked", b"Subject: x\r\n\r\nhello\r\n")
    server.doveadm("kick", USER)
    while line := connection.readline():
        assert line.startswith(b"* BYE")
    assert server.deliver(USER, "Kicked", b"Subject: x\r\n\r\nhello\r\n") == before + 1


def test_fill_loads_realistic_mail_spread_over_time(server, imap):
    server.fill(USER, "Bulk", 500)
    assert imap.select("Bulk", readonly=True)[1] == [b"500"]
    dates = [imaplib.Internaldate2tuple(line) for line in imap.fetch("1,500", "(INTERNALDATE)")[1]]
    assert [time.mktime(date) for date in dates] == [bulk.NEWEST - 499 * bulk.SPACING_S, bulk.NEWEST]
    structures = b"".join(part for line in imap.fetch("1:500", "(BODYSTRUCTURE)")[1]
                          for part in (line if isinstance(line, tuple) else (line,))).upper()
    assert structures.count(b'"ALTERNATIVE"') == 167
    assert structures.count(b'"ATTACHMENT"') == 50


def test_stop_logs_clients_out_and_leaves_no_process_and_no_scratch(tmp_path):
    server = Dovecot(tmp_path, {USER: PASSWORD})
    server.start()
    connection = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=10)
    connection.login(USER, PASSWORD)
    pids, scratch = server.pids(), server.run_directory
    assert len(pids) > 3 and scratch.is_dir()
    server.stop()
    assert not any(is_alive(pid) for pid in pids)
    assert not scratch.exists()
    assert b"BYE" in connection.readline()
    server.stop()


def test_mail_outlives_a_restart(tmp_path):
    server = Dovecot(tmp_path, {USER: PASSWORD})
    for expected_uid in (1, 2):
        with server:
            assert server.deliver(USER, "INBOX", b"Subject: x\r\n\r\nhello\r\n") == expected_uid


def test_the_server_dies_with_the_process_that_started_it(tmp_path):
    script = ("import sys; sys.path.insert(0, sys.argv[1]); from dovecot import Dovecot\n"
              "d = Dovecot(sys.argv[2], {}); d.start(); print(*d.pids(), flush=True); input()")
    parent = subprocess.Popen([sys.executable, "-c", script, str(HERE), str(tmp_path)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    pids = parent.stdout.readline().split()
    parent.kill()
    parent.communicate()
    assert pids
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


@pytest.fixture
def demo(tmp_path):
    """demo.py with a stand-in for postern, started and ready."""
    stand_in = tmp_path / "stand-in"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, HERE / "demo.py", "--server", stand_in, "--dir", tmp_path / "demo",
                                "--listen", listen], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.listen = listen
    output = ""
    while "Ctrl-C" not in output:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        output += line
    process.welcome = output
    yield process
    process.kill()
    process.communicate()
    mail = (tmp_path / "demo" / "mail-server" / "mail").resolve()
    subprocess.run(["rm", "-rf", mail], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_all_it_started(demo, number):
    assert f"http://{demo.listen}/v1" in demo.welcome
    children = [pid for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == demo.pid]
    assert len(children) >= 2
    demo.send_signal(number)
    assert demo.wait(15) == 0
    assert not any(is_alive(pid) for pid in children)


def test_the_demo_ends_with_the_exit_code_of_postern(demo):
    host, port = demo.listen.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /end HTTP/1.0\r\n\r\n")
        connection.recv(1)
    assert demo.wait(15) == 7
    assert "exit code 7" in demo.stderr.read()


def is_alive(pid):
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent_of(pid):
    try:
        return int(Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def wait_until(condition, timeout_s=5):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
