"""Accounts on the private mail server, for tests."""

import imaplib
import itertools
import ssl


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
        connection = imaplib.IMAP4("127.0.0.1", self.dovecot.imap_port, timeout=10)
        connection.login(self.user, self.password)
        return connection

    def imap_tls(self):
        trust = ssl.create_default_context(cafile=str(self.dovecot.ca_file))
        connection = imaplib.IMAP4_SSL("localhost", self.dovecot.imaps_port, ssl_context=trust, timeout=10)
        connection.login(self.user, self.password)
        return connection

    def target(self, security="tls", **changes):
        """The body of POST /v1/sessions; a change to None takes the member out."""
        port = self.dovecot.imaps_port if security == "tls" else self.dovecot.imap_port
        body = {"protocol": "imap", "host": "localhost", "port": port, "security": security,
                "username": self.user, "password": self.password, **changes}
        return {name: value for name, value in body.items() if value is not None}


class Mailboxes:
    """Makes accounts; each has a name of its own, so tests do not meet."""

    def __init__(self, dovecot):
        self.dovecot = dovecot
        self.made = []
        self._numbers = itertools.count(1)

    def new(self, user=None, password=None):
        number = next(self._numbers)
        box = Mailbox(self.dovecot, user or f"tester{number:04}@example.com", password or f"password {number:04} zq9")
        self.dovecot.set_users({**self.dovecot.users, box.user: box.password})
        self.made.append(box)
        return box

    def secrets(self):
        return [word for box in self.made for word in (box.user, box.password)]
