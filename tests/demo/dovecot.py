"""A private Dovecot 2.3 in a directory of its own, for the demo, the tests and the bench.

It listens on 127.0.0.1 only and runs as root and as anyone else:

- As an ordinary user every service runs as that user, without chroot.
- As root Dovecot gives its services to the users its package made, and refuses to touch mail as
  uid 0, so mail belongs to nobody. Where nobody cannot reach the directory (/root, pytest's
  directories), the mail lives in a directory under /tmp, or /var/tmp when `keep`, and `mail` in
  the directory is a link to it.

Sockets live in a short directory under /tmp, because a unix socket's path has a limit of 107 bytes.
The server does not outlive the process that started it, however that ends (see child.py).
"""

import atexit
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import bulk
import certs
import oauth
from child import Child, name_of, send
from dovecot_conf import render_config
from imapwire import ImapWire

SBIN = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
DOVECOT = shutil.which("dovecot", path=SBIN)
PORT_NAMES = ("imap", "imaps", "pop3", "pop3s")
START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 8
MAIL_PROCESSES = ("imap", "pop3", "indexer", "indexer-worker")


class Dovecot:
    """One server. Usable as a context manager: started on entry, stopped on exit.

    users         {user: password}; replace with set_users() while it runs
    ports         {"imap": 10143, ...}; a name left out, or 0, gets a free port
    certificate   certs.Certificate to serve; the good one of `directory`/certs when None
    extra_config  Dovecot configuration put at the end, so it wins
    mail_format   "mdbox", "sdbox" or "maildir"
    keep          the mail is wanted by a later process too (matters for root only, see above)
    """

    def __init__(self, directory, users, *, ports=None, certificate=None, extra_config="",
                 mail_format="mdbox", keep=False):
        if DOVECOT is None:
            raise RuntimeError("dovecot is not installed (Debian: dovecot-imapd dovecot-pop3d)")
        self.directory = Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.users = dict(users)
        self.certificate = certificate or certs.make_server(self.directory / "certs")
        self.ca_file = certs.make_ca(self.directory / "certs").cert
        self.extra_config = extra_config
        self.mail_format = mail_format
        self.log_file = self.directory / "dovecot.log"
        self._child = None
        self._wanted_ports = dict(ports or {})
        self._ports = {}
        self.run_directory = None
        self._wires = {}
        self._mail_outside = []
        self._mail_user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.mail = self._make_mail_directory(keep).resolve()
        atexit.register(self.stop)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    imap_port = property(lambda self: self._ports["imap"], doc="plain and STARTTLS")
    imaps_port = property(lambda self: self._ports["imaps"])
    pop3_port = property(lambda self: self._ports["pop3"], doc="plain and STLS")
    pop3s_port = property(lambda self: self._ports["pop3s"])

    def start(self):
        """Start and wait until logins are answered. A free port lost to a race is tried again."""
        for attempt in range(3):
            self._launch()
            try:
                return self.wait_ready()
            except RuntimeError:
                self.stop()
                if attempt == 2 or "Address already in use" not in self.read_log():
                    raise

    def stop(self):
        """End the master and all its children; clients are logged out. Idempotent.

        Mail processes end by SIGTERM, so what they write is whole. The rest holds nothing; it is
        killed, because the master would wait a second or more for it.
        """
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()
        if self._child is None:
            return
        self._child.terminate()
        for pid in self._mail_pids():
            send(os.kill, pid, signal.SIGTERM)
        _wait_until(lambda: not self._mail_pids())
        self._child.finish(0)
        _wait_until(lambda: not self.pids())
        self._child = None
        shutil.rmtree(self.run_directory, ignore_errors=True)

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        """Wait until every port greets; RuntimeError with the log's end when it does not."""
        deadline = time.monotonic() + timeout_s
        for name in PORT_NAMES:
            while not self._greets(name):
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Dovecot's {name} port does not answer:\n"
                                       + self.read_log()[-2000:])
                time.sleep(0.01)

    def pids(self):
        """The process ids of this server: the master and its children."""
        return self._child.pids() if self._child else []

    def read_log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def set_users(self, users):
        """Replace users and passwords; the next login sees it (Dovecot watches the file)."""
        self.users = dict(users)
        if self.run_directory:
            self._write_users()

    def deliver(self, user, folder, message, flags=(), internaldate=None):
        """APPEND bytes, unchanged, on a connection that stays open; the UID. The folder is
        created and subscribed when absent. internaldate: aware datetime or seconds since 1970."""
        return self.deliver_many(user, folder, [(flags, internaldate, message)])[0]

    def deliver_many(self, user, folder, messages):
        """The same for an iterable of (flags, internaldate, bytes), in one MULTIAPPEND."""
        wire = self._wire_to(user, folder)
        return wire.append(folder, messages)

    def fill(self, user, folder, count, seed=0):
        """Append `count` realistic messages (see bulk.py), oldest first, the newest at
        bulk.NEWEST. Same count and seed, same bytes."""
        wire = self._wire_to(user, folder)
        for batch in bulk.batches(count, seed):
            wire.append(folder, batch)

    def doveadm(self, *words):
        """Run doveadm on this server ("kick", user), ("expunge", "-u", user, ...); its output."""
        done = subprocess.run([shutil.which("doveadm", path=SBIN), "-c",
                               self.run_directory / "dovecot.conf", *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"doveadm {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def mint_token(self, user, lifetime_s=3600):
        """An access token that this server accepts for `user` by XOAUTH2 and OAUTHBEARER."""
        return oauth.mint_token(user, lifetime_s)

    def _make_mail_directory(self, keep):
        place = self.directory / "mail"
        if place.is_dir():
            self._take_owner(place)
            return place
        if place.is_symlink():
            place.unlink()
        if self._mail_user is None or _open_to_others(self.directory):
            place.mkdir(mode=0o700)
        else:
            outside = tempfile.mkdtemp(prefix="postern-mail-", dir="/var/tmp" if keep else None)
            place.symlink_to(outside)
            if not keep:
                self._mail_outside = [outside]
                atexit.register(shutil.rmtree, outside, ignore_errors=True)
        if self._mail_user:
            os.chown(place, self._mail_user.pw_uid, self._mail_user.pw_gid)
        return place

    def _take_owner(self, place):
        """Mail of an earlier run stays with its owner: root can serve it, anyone else cannot."""
        owner = place.stat().st_uid
        if self._mail_user:
            self._mail_user = pwd.getpwuid(owner)
        elif owner != os.geteuid():
            raise RuntimeError(f"{place} belongs to uid {owner}: remove {self.directory} first")

    def _launch(self):
        self._ports = {**_free_ports(PORT_NAMES), **{name: port for name, port
                                                     in self._wanted_ports.items() if port}}
        self.run_directory = Path(tempfile.mkdtemp(prefix="pd-"))
        self.run_directory.chmod(0o711)
        self._write_users()
        oauth.write_passdb(self.run_directory)
        config = self.run_directory / "dovecot.conf"
        config.write_text(render_config(self, self.run_directory, self._ports, self._mail_user))
        self.log_file.unlink(missing_ok=True)
        self.log_file.touch()
        with open(self.log_file, "ab") as log:
            self._child = Child([DOVECOT, "-F", "-c", str(config)], scratch=[self.run_directory, *self._mail_outside],
                                stdout=log, stderr=log)

    def _write_users(self):
        draft = self.run_directory / "users.new"
        draft.write_text("".join(f"{user}:{{PLAIN}}{password}\n"
                                 for user, password in self.users.items()))
        draft.replace(self.run_directory / "users")

    def _wire_to(self, user, folder):
        """The user's open connection, or a new one where a test has cut it; the folder exists."""
        if user in self._wires:
            try:
                self._wires[user].create(folder)
                return self._wires[user]
            except (EOFError, OSError):
                self._wires.pop(user).close()
        self._wires[user] = ImapWire(self.imap_port, user, self.users[user])
        self._wires[user].create(folder)
        return self._wires[user]

    def _greets(self, name):
        """A TLS port greets nobody before the handshake: there, accepting is enough."""
        try:
            with socket.create_connection(("127.0.0.1", self._ports[name]), timeout=5) as probe:
                return name.endswith("s") or bool(probe.recv(1))
        except OSError:
            return False

    def _mail_pids(self):
        return [pid for pid in self.pids() if name_of(pid) in MAIL_PROCESSES]


def _wait_until(done):
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not done() and time.monotonic() < deadline:
        time.sleep(0.005)


def _open_to_others(directory):
    return all(parent.stat().st_mode & 0o001 for parent in (directory, *directory.parents))


def _free_ports(names):
    """A free port for each name, all different: held together before any is let go."""
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
        return ports
