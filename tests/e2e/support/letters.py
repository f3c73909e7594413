"""Small mails that tests tell apart by number: Message-ID <n.NUMBER@example.org>, subject `letter NUMBER`."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

EPOCH = datetime(2026, 5, 1, 8, 0, tzinfo=timezone.utc)


def ident(number):
    return f"n.{number}@example.org"


def received(number):
    return EPOCH + timedelta(minutes=number)


def letter(number, body="Hello.", subject=None):
    return (f"Date: {format_datetime(received(number))}\r\nFrom: Ada Example <ada@example.org>\r\n"
            f"To: Demo <demo@example.com>\r\nSubject: {subject or f'letter {number}'}\r\n"
            f"Message-ID: <{ident(number)}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"\r\n{body}\r\n").encode()


def deliver(mailbox, numbers, folder="INBOX", flags=()):
    """The UIDs, in the order of the numbers; all in one MULTIAPPEND."""
    return mailbox.dovecot.deliver_many(mailbox.user, folder,
                                        [(flags, received(number), letter(number)) for number in numbers])


def numbers(items):
    """The numbers of listed messages, in their order."""
    return [int(item["messageId"].split(".")[1].split("@")[0]) for item in items]
