"""What is true: the mailbox as imaplib sees it, on a connection that postern knows nothing of."""

import imaplib
import re
from datetime import datetime, timezone
from typing import NamedTuple

from imapwire import encode_folder, quote

_SYSTEM = {"\\Seen": "seen", "\\Flagged": "flagged", "\\Answered": "answered", "\\Draft": "draft"}


class Seen(NamedTuple):
    """One message as the mail server tells it."""

    uid: int
    flags: frozenset
    received: datetime
    size: int
    message_id: str

    def as_listed(self):
        """What a list must say of it."""
        return {"messageId": self.message_id, "size": self.size,
                "receivedAt": self.received.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "keywords": sorted(flag for flag in self.flags if not flag.startswith("\\")),
                **{name: flag in self.flags for flag, name in _SYSTEM.items()}}


LISTED = ("messageId", "size", "receivedAt", "keywords", *_SYSTEM.values())


class Witness:
    """A direct IMAP client of one user; one thread uses it."""

    def __init__(self, mailbox):
        self._imap = mailbox.imap()
        self._selected = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self._imap.logout()
        except (OSError, imaplib.IMAP4.error):
            pass

    def select(self, folder):
        if self._selected != folder:
            self._ok(*self._imap.select(quote(encode_folder(folder))))
            self._selected = folder
        else:
            self._ok(*self._imap.noop())

    def look(self, folder):
        """All messages of the folder, newest first, as a list must order them."""
        self.select(folder)
        data = self._ok(*self._imap.uid(
            "FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
        found = [_read(*item) for item in data if isinstance(item, tuple)]
        return sorted(found, key=lambda one: (one.received, one.uid), reverse=True)

    def flags(self, folder, uid):
        self.select(folder)
        data = self._ok(*self._imap.uid("FETCH", str(uid), "(FLAGS)"))
        return frozenset(re.search(rb"FLAGS \(([^)]*)\)", data[0])[1].decode().split()) - {"\\Recent"}

    def store(self, folder, uids, how, *flags):
        """how: "+FLAGS", "-FLAGS" or "FLAGS"."""
        self.select(folder)
        self._ok(*self._imap.uid("STORE", _set(uids), how, f"({' '.join(flags)})"))

    def expunge(self, folder, uids):
        """Exactly these messages."""
        self.store(folder, uids, "+FLAGS", "\\Deleted")
        self._ok(*self._imap.uid("EXPUNGE", _set(uids)))

    def raw(self, folder, uid):
        self.select(folder)
        return self._ok(*self._imap.uid("FETCH", str(uid), "(BODY.PEEK[])"))[0][1]

    def status(self, folder):
        """(messages, unseen, uidvalidity)"""
        data = self._ok(*self._imap.status(quote(encode_folder(folder)), "(MESSAGES UNSEEN UIDVALIDITY)"))
        numbers = dict(re.findall(rb"(MESSAGES|UNSEEN|UIDVALIDITY) (\d+)", data[0]))
        return tuple(int(numbers[name]) for name in (b"MESSAGES", b"UNSEEN", b"UIDVALIDITY"))

    def create(self, folder):
        self._ok(*self._imap.create(quote(encode_folder(folder))))

    def delete(self, folder):
        self._unselect(folder)
        self._ok(*self._imap.delete(quote(encode_folder(folder))))

    def rename(self, folder, name):
        self._unselect(folder)
        self._ok(*self._imap.rename(quote(encode_folder(folder)), quote(encode_folder(name))))

    def _unselect(self, folder):
        if self._selected == folder:
            self._imap.unselect()
            self._selected = None

    @staticmethod
    def _ok(kind, data):
        assert kind == "OK", data
        return data


def _read(line, header):
    words = line.decode()
    flags = frozenset(re.search(r"FLAGS \(([^)]*)\)", words)[1].split()) - {"\\Recent"}
    when = re.search(r'INTERNALDATE "([^"]+)"', words)[1].strip()
    ident = re.search(rb"<([^>]*)>", header)
    return Seen(int(re.search(r"UID (\d+)", words)[1]), flags,
                datetime.strptime(when, "%d-%b-%Y %H:%M:%S %z").astimezone(timezone.utc),
                int(re.search(r"RFC822\.SIZE (\d+)", words)[1]), ident[1].decode() if ident else None)


def _set(uids):
    return ",".join(map(str, [uids] if isinstance(uids, int) else uids))
