"""Our global names against libetpan's: a clash would silently replace one by the other at run time.

Usage: symbols.py ARCHIVE... Two rules: no name that libetpan exports, and none that begins as its do.
"""

import re
import subprocess
import sys
from pathlib import Path

PREFIXES = re.compile(r"(mail|imap|pop3|mbox|mime|smtp|db)_")
LIBRARY_PLACES = ("/usr/lib", "/usr/local/lib", "/lib")


def main(archives):
    theirs = set(names("-D", find_library()))
    problems = []
    for archive in archives:
        for name in sorted(set(names("-g", archive))):
            if name in theirs:
                problems.append(f"{archive}: {name} is exported by libetpan, too")
            elif PREFIXES.match(name):
                problems.append(f"{archive}: {name} begins as libetpan's names do; put another subject first")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def find_library():
    for place in LIBRARY_PLACES:
        for found in sorted(Path(place).glob("**/libetpan.so")):
            return str(found)
    sys.exit("libetpan.so is not installed")


def names(which, file):
    listing = subprocess.run(["nm", which, "--defined-only", "-P", file], capture_output=True, text=True, check=True)
    return [line.split()[0].split("@")[0] for line in listing.stdout.splitlines() if re.match(r"\S+ [A-Za-z] ", line)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
