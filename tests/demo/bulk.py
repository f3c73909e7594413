"""Messages in bulk for the bench: realistic small to medium mail, the same bytes on every run.

A third is multipart/alternative, a tenth carries an attachment of 2 to 40 KiB, about a sixth is a
reply. Message k of a run depends on (k, seed) only. Bodies are cut from a few texts made beforehand,
so that making a message costs microseconds and 100,000 of them a second or two.
"""

import base64
import random

NEWEST = 1_781_000_000          # 2026-06-09 10:13:20 UTC, the newest message's INTERNALDATE
SPACING_S = 17 * 60             # 100,000 messages reach back a little over three years
BATCH_BYTES = 4 << 20
BATCH_MESSAGES = 2000

_NAMES = [("Ada Example", "ada"), ("Bruno Muster", "bruno"), ("=?utf-8?q?Chlo=C3=A9_Exemple?=", "chloe"),
          ("Dimitri", "dimitri"), ("Edda Beispiel", "edda"), ("=?utf-8?b?5bGx55SwIOWkqumDjg==?=", "taro"),
          ('"Build, nightly"', "build"), ("Fiona O'Sample", "fiona"), ("Gustaf", "gustaf"),
          ("Helpdesk", "helpdesk"), ("", "noreply"), ("Ines de Ejemplo", "ines")]
_DOMAINS = ["example.com", "example.org", "example.net", "mail.example.com"]
_SUBJECTS = ["Meeting notes", "Invoice", "Build failed on main", "Re: Budget", "Question about the order",
             "Your booking is confirmed", "Weekly report", "=?utf-8?q?R=C3=A9union_de_lundi?=",
             "Lunch?", "Fwd: Contract draft", "Ticket updated", "=?utf-8?b?5Lya6K2w44Gu44GK55+l44KJ44Gb?=",
             "Welcome aboard", "Release 2.4 is out", "Photos from the trip", "Reminder"]
_WORDS = ("the a of to in we for on with that this mail report order meeting please find attached next "
          "week team plan draft review customer number server build numbers agreed still open point "
          "question answer before after friday monday thanks regards budget version change").split()
_FLAGS = [("\\Seen",), ("\\Seen",), ("\\Seen",), ("\\Seen", "\\Answered"), ("\\Seen",), (),
          ("\\Seen", "\\Flagged"), ("\\Seen",), (), ("\\Seen", "$Forwarded")]
_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")


def batches(count, seed=0):
    """Lists of (flags, internaldate, bytes), oldest first, each list worth one MULTIAPPEND."""
    batch, size = [], 0
    for number, entry in enumerate(messages(count, seed)):
        batch.append(entry)
        size += len(entry[2])
        if size > BATCH_BYTES or len(batch) == BATCH_MESSAGES or number == count - 1:
            yield batch
            batch, size = [], 0


def messages(count, seed=0):
    random_ = random.Random(seed)
    texts = [_make_text(random_) for _ in range(40)]
    files = [_make_file(random_) for _ in range(24)]
    for number in range(count):
        when = NEWEST - (count - 1 - number) * SPACING_S
        yield (_FLAGS[number * 7 % 10] if number < count - 20 else (), when,
               _make_message(number, when, seed, texts, files))


def _make_message(number, when, seed, texts, files):
    pick = (number * 2654435761 + seed * 40503) & 0xFFFFFFFF
    name, local = _NAMES[pick % len(_NAMES)]
    address = f"{name} <{local}@{_DOMAINS[pick >> 4 & 3]}>" if name else f"{local}@example.com"
    subject = f"{_SUBJECTS[pick >> 6 & 15]} {number}"
    text = texts[(pick >> 10) % len(texts)]
    headers = [
        f"Received: from mx{pick & 7}.example.net (mx{pick & 7}.example.net [192.0.2.{pick >> 8 & 255}])\r\n"
        f"\tby mail.example.com with ESMTPS id {pick:08x}; {format_date(when)}",
        f"Date: {format_date(when - 3)}", f"From: {address}", "To: Demo User <demo@example.com>"]
    if pick & 3 == 0:
        headers.append(f"Cc: Team <team@example.com>, {_NAMES[pick >> 3 & 7][1]}@example.org")
    if number % 6 == 5:
        headers.append(f"In-Reply-To: <{number - 3}.{seed}@example.com>\r\n"
                       f"References: <{number - 4}.{seed}@example.com>\r\n <{number - 3}.{seed}@example.com>")
        subject = "Re: " + subject
    headers.append(f"Subject: {subject}\r\nMessage-ID: <{number}.{seed}@example.com>\r\nMIME-Version: 1.0")
    body = _plain(text) if number % 3 else _alternative(text, number)
    if number % 10 == 4:
        body = _with_file(body, files[(pick >> 12) % len(files)], number)
    return ("\r\n".join(headers) + "\r\n" + body).encode("ascii")


def format_date(when):
    """An RFC 5322 date in UTC; strftime would cost more than the rest of a message."""
    days, second = divmod(when, 86400)
    year, month, day = _civil(days)
    return (f"{_DAYS[days % 7]}, {day} {'JanFebMarAprMayJunJulAugSepOctNovDec'[month * 3 - 3:month * 3]}"
            f" {year} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} +0000")


def _civil(days):
    """Year, month, day of days since 1970 (H. Hinnant's algorithm)."""
    era, day_of_era = divmod(days + 719468, 146097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return (year + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1)


def _plain(text):
    return f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"


def _alternative(text, number):
    html = text.replace("\r\n\r\n", "</p>\r\n<p>")
    return (f'Content-Type: multipart/alternative; boundary="alt{number}"\r\n\r\n--alt{number}\r\n{_plain(text)}'
            f"--alt{number}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body style=\"font-family:"
            f" sans-serif\"><p>{html}</p></body></html>\r\n--alt{number}--\r\n")


def _with_file(body, file, number):
    return (f'Content-Type: multipart/mixed; boundary="mix{number}"\r\n\r\n--mix{number}\r\n{body}'
            f"--mix{number}\r\n{file}--mix{number}--\r\n")


def _make_text(random_):
    paragraphs = []
    for _ in range(random_.randint(1, 6)):
        words = random_.choices(_WORDS, k=random_.randint(15, 80))
        paragraphs.append("\r\n".join(" ".join(words[at:at + 11]) for at in range(0, len(words), 11)))
    return "Hello,\r\n\r\n" + ".\r\n\r\n".join(paragraphs) + ".\r\n\r\nRegards\r\n"


def _make_file(random_):
    kind, name = random_.choice([("application/pdf", "report.pdf"), ("application/zip", "files.zip"),
                                 ("image/png", "picture.png"), ("text/csv", "numbers.csv")])
    packed = base64.encodebytes(random_.randbytes(random_.randint(2048, 40960))).decode()
    return (f'Content-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{name}"\r\n\r\n' + packed.replace("\n", "\r\n"))
