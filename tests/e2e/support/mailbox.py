"""Accounts on the private mail server, for tests."""

import contextlib
import imaplib
import ssl
import time


class Mailbox:
    def __init__(self, dovecot, user, password):
        self.dovecot, self.user, self.password = dovecot, user, password

    def deliver(self, folder, message, flags=(), internaldate=None):
        """APPEND these bytes behind postern's back; the UID."""
        return self.dovecot.deliver(self.user, folder, message, flags, internaldate)

    def fill(self, folder, count, seed=0):
        self.dovecot.fill(self.user, folder, count, seed)

    def imap(self):
        """A direct, signed-in imaplib connection."""
        connection = imaplib.IMAP4("127.0.0.1", self.dovecot.imap_port, timeout=30)
        authenticate(connection, self.user, self.password)
        return connection

    def imap_tls(self):
        trust = ssl.create_default_context(cafile=str(self.dovecot.ca_file))
        connection = imaplib.IMAP4_SSL("localhost", self.dovecot.imaps_port, ssl_context=trust, timeout=10)
        authenticate(connection, self.user, self.password)
        return connection

    def kick(self):
        """Cut all its connections to the mail server, ours too."""
        with contextlib.suppress(RuntimeError):  # there is none
            self.dovecot.doveadm("kick", self.user)

    def target(self, security="tls", **changes):
        """The body of POST /v1/sessions; a change to None takes the member out."""
        port = self.dovecot.imaps_port if security == "tls" else self.dovecot.imap_port
        body = {"protocol": "imap", "host": "localhost", "port": port, "security": security,
                "username": self.user, "password": self.password, **changes}
        return {name: value for name, value in body.items() if value is not None}


class Mailboxes:
    """Hands out accounts; each has a name of its own, so tests do not meet.

    They are made before the server starts: Dovecot looks at its list of users once a second, so one made later costs
    its test up to two seconds.
    """

    READY = 1500

    def __init__(self):
        self.dovecot = None
        self.made = []
        self._ready = [(f"tester{number:04}@example.com", f"password {number:04} zq9")
                       for number in reversed(range(self.READY))]

    def users(self):
        return dict(self._ready)

    def new(self, user=None, password=None):
        """A fresh mailbox. With a name or password of your own it takes a moment."""
        ready_user, ready_password = self._ready.pop()
        box = Mailbox(self.dovecot, user or ready_user, password or ready_password)
        self.made.append(box)
        if user or password:
            self.dovecot.set_users({**self.dovecot.users, box.user: box.password})
            self._await(box)
        return box

    def set_password(self, box, password):
        """A new password, in force at once."""
        box.password = password
        self.made.append(Mailbox(self.dovecot, box.user, password))
        self.dovecot.set_users({**self.dovecot.users, box.user: password})
        self._await(box)

    def secrets(self):
        return [word for box in self.made for word in (box.user, box.password)]

    @staticmethod
    def _await(box):
        """Failures slow Dovecot down: not too often."""
        deadline = time.monotonic() + 10
        while True:
            try:
                connection = imaplib.IMAP4("127.0.0.1", box.dovecot.imap_port, timeout=10)
                authenticate(connection, box.user, box.password)
                connection.logout()
                return
            except imaplib.IMAP4.error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)


def authenticate(connection, user, password):
    """AUTHENTICATE PLAIN takes any characters, imaplib's LOGIN only ASCII."""
    connection.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
