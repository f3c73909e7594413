#!/usr/bin/python3
"""`make run`: a private mail server with the sample mailbox, and postern in front of it.

Ends by Ctrl-C or SIGTERM with exit code 0 and nothing left running; when postern ends by itself, with
postern's exit code. The directory is kept, so that the second start is quick.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import compose
import sample
from child import Child
from dovecot import Dovecot

PASSWORD = "demo"
POP_USER = "pop@example.com"
MAIL_PORTS = {"imap": 10143, "imaps": 10993, "pop3": 10110, "pop3s": 10995}
READY_TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 20

WELCOME = """
postern is ready at http://{listen}/v1, before a private mail server with sample mail.
Paste these lines, in order, into another terminal:

{lines}

  Mailbox: demo@example.com, password demo. The same for POP3: pop@example.com, password demo.
  Mail server on localhost: IMAP {imap}, IMAPS {imaps}, POP3 {pop3}, POP3S {pop3s}; its CA is
  {ca_file}
Ctrl-C stops everything.
"""

CURL_LINES = """\
API=http://{listen}/v1 BOX=http://{listen}/v1/accounts/me DEMO=demo@example.com:demo
pick() {{ python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }}

# what this server is
curl -s $API; echo
# folders, and the newest messages of the inbox
curl -s -u $DEMO $BOX/folders; echo
curl -s -u $DEMO "$BOX/messages?folder=inbox&limit=10&fields=id,subject,from,seen"; echo
# one message: its text, and its attachment into a file
ID=$(curl -s -u $DEMO "$BOX/messages?folder=inbox&fields=id,subject" | pick 'next(m["id"] for m in d["items"] if m["subject"] == "Quarterly report")')
curl -s -u $DEMO $BOX/messages/$ID/text; echo
PART=$(curl -s -u $DEMO "$BOX/messages/$ID?fields=attachments" | pick 'd["attachments"][0]["id"]')
curl -s -u $DEMO -o report.pdf $BOX/messages/$ID/parts/$PART
# mark it read
curl -s -u $DEMO -X PATCH -H 'Content-Type: application/json' -d '{{"seen":true}}' $BOX/messages/$ID; echo
# the same with a session: sign in once, then a token in place of the password
TOKEN=$(curl -s -H 'Content-Type: application/json' -d '{{"protocol":"imap","host":"localhost","port":{imaps},"security":"tls","username":"demo@example.com","password":"demo"}}' $API/sessions | pick 'd["token"]')
curl -s -H "Authorization: Bearer $TOKEN" $API/accounts; echo
curl -s -H "Authorization: Bearer $TOKEN" "$BOX/messages?folder=inbox&limit=3&fields=id,subject,seen"; echo
"""


def main():
    arguments = parse_arguments()
    stop = StopRequest()
    port = int(arguments.listen.rpartition(":")[2])
    if not is_free(port):
        sys.exit(f"demo: port {port} of 127.0.0.1 is taken")
    lock = take_lock(arguments.dir)  # noqa: F841  (held until the process ends)
    mail_server = Dovecot(arguments.dir / "mail-server", {sample.USER: PASSWORD, POP_USER: PASSWORD},
                          ports=choose_ports(), keep=True)
    try:
        load_mail_once(mail_server)
        if stop.requested:
            return 0
        return run_postern(arguments, mail_server, stop)
    finally:
        mail_server.stop()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, help="the postern program")
    parser.add_argument("--dir", required=True, type=lambda path: Path(path).resolve(),
                        help="where mail, certificates and postern's data live")
    parser.add_argument("--listen", default="127.0.0.1:8025", help="address:port for postern")
    return parser.parse_args()


def take_lock(directory):
    """One demo for one directory: a second would load mail under the first one's server."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = open(directory / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"demo: another demo runs in {directory}")
    return lock


class StopRequest:
    """Ctrl-C, SIGTERM or a closed terminal, noted and looked at where stopping is safe."""

    def __init__(self):
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, *_):
        self.requested = True


def choose_ports():
    """The demo's ports; for one that is taken, the next free one."""
    chosen = {}
    for name, port in MAIL_PORTS.items():
        while port in chosen.values() or not is_free(port):
            port += 1
        chosen[name] = port
    return chosen


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def load_mail_once(mail_server):
    """Start the mail server, with the sample loaded unless this very sample is there already."""
    stamp = mail_server.directory / "loaded"
    version = sample_version()
    if stamp.exists() and stamp.read_text() == version and any(mail_server.mail.iterdir()):
        mail_server.start()
        return
    stamp.unlink(missing_ok=True)
    for old in mail_server.mail.iterdir():
        shutil.rmtree(old)
    mail_server.start()
    for user in mail_server.users:
        sample.load(mail_server, user)
    stamp.write_text(version)


def sample_version():
    sources = b"".join(Path(module.__file__).read_bytes() for module in (sample, compose))
    return hashlib.sha256(sources).hexdigest()


def run_postern(arguments, mail_server, stop):
    environment = {**os.environ,
                   "POSTERN_LISTEN": arguments.listen,
                   "POSTERN_DATA_DIR": str(arguments.dir / "data"),
                   "POSTERN_ALLOWED_HOSTS": "127.0.0.1,localhost",
                   "POSTERN_CA_FILE": str(mail_server.ca_file),
                   "POSTERN_DEFAULT_IMAP": f"tls://localhost:{mail_server.imaps_port}"}
    postern = Child([arguments.server, "serve"], env=environment)
    if await_ready(postern, arguments.listen, stop):
        print(describe(arguments.listen, mail_server), flush=True)
    while postern.poll() is None and not stop.requested:
        time.sleep(0.1)
    if stop.requested:
        postern.terminate()
        postern.finish(DRAIN_TIMEOUT_S)
        return 0
    code = postern.finish(0)
    print(f"demo: postern ended by itself, exit code {code}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def await_ready(postern, listen, stop):
    """True when /readyz says 200; False when it is no use to wait on."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while postern.poll() is None and not stop.requested:
        with contextlib.suppress(OSError, urllib.error.URLError):
            with opener.open(f"http://{listen}/readyz", timeout=2) as answer:
                if answer.status == 200 and postern.poll() is None:
                    return True
        if time.monotonic() > deadline:
            print(f"demo: postern does not become ready within {READY_TIMEOUT_S} s", file=sys.stderr)
            postern.terminate()
            return False
        time.sleep(0.05)
    return False


def curl_lines(listen, imaps_port):
    """What the welcome prints, for tests that run it in a shell."""
    return CURL_LINES.format(listen=listen, imaps=imaps_port)


def describe(listen, mail_server):
    ports = {name: getattr(mail_server, f"{name}_port") for name in MAIL_PORTS}
    return WELCOME.format(listen=listen, lines=curl_lines(listen, ports["imaps"]).strip(),
                          ca_file=mail_server.ca_file, **ports)


if __name__ == "__main__":
    sys.exit(main())
