"""What a reader of the source would frown at: banned calls, a library behind two doors, rooms too large."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PLACES = ("api", "include", "server", "tests")
BANNED = ("sprintf vsprintf strcpy strcat strncpy strncat strtok atoi atol atoll atof gets system popen alloca "
          "localtime gmtime ctime asctime rand srand tmpnam mktemp")
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED.split()) + r")\s*\(")

# One door a library: the folders that may include its headers.
DOORS = {
    r"libetpan/": ("server/mail", "server/net", "tests/unit/mail", "tests/unit/net"),
    r"microhttpd\.h": ("server/http", "tests/unit/http"),
    r"jansson\.h": ("api", "tests/unit/api"),
    r"sqlite3\.h": ("server/store", "tests/unit/store"),
    r"gmime/": ("server/mail", "tests/unit/mail"),
    r"ini\.h": ("server",),
    r"seccomp\.h": ("server/wall",),
}
ROOMS = {"file": (400, 600), "function": (60, 90)}  # warn above, fail above
# A path that is true on one machine only: this tree's own, or somebody's home. Assembled, so that this
# file does not find itself.
MACHINE_PATH = re.compile("|".join((re.escape(str(TOP) + "/"), "/" + "root/", "/" + "home/[a-z]")))
# A task without an issue's number, written apart for the same reason.
TASK = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b(?!.*#\d)")
TEXT_ENDINGS = (".c", ".h", ".py", ".sh", ".md", ".yaml", ".yml", ".ini", ".conf", ".service", ".txt")
STRINGS_AND_COMMENTS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def main():
    failures, warnings = [], []
    for path in c_files():
        name, text = str(path.relative_to(TOP)), path.read_text()
        code = STRINGS_AND_COMMENTS.sub(blank, text)
        failures += banned_calls(name, code) + wrong_doors(name, text)
        judge_rooms(name, text, code, failures, warnings)
    for path in text_files():
        failures += stray_text(path)
    for line in warnings:
        print("warning:", line)
    for line in failures:
        print(line)
    return 1 if failures else 0


def c_files():
    return sorted(path for place in PLACES for path in (TOP / place).rglob("*.[ch]"))


def text_files():
    names = [TOP / name for name in ("Makefile", "README.md", "openapi.yaml", ".ci/run", ".gitignore", ".clang-tidy")]
    names += [path for place in (*PLACES, "docker") for path in sorted((TOP / place).rglob("*"))
              if path.suffix in TEXT_ENDINGS or path.name == "Dockerfile"]
    return [path for path in names if path.is_file() and "__pycache__" not in path.parts]


def blank(match):
    """Same length and lines, without what a comment or a string says."""
    return re.sub(r"[^\n]", " ", match.group())


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def banned_calls(name, code):
    return [f"{name}:{line_of(code, found.start())}: {found.group(1)}() is banned"
            for found in BANNED_CALL.finditer(code)]


def wrong_doors(name, text):
    problems = []
    for found in re.finditer(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', text, re.M):
        for header, doors in DOORS.items():
            folder = str(Path(name).parent)
            if re.match(header, found.group(1)) and folder not in doors:
                problems.append(f"{name}:{line_of(text, found.start())}: <{found.group(1)}> may be included only in "
                                + ", ".join(door for door in doors if not door.startswith("tests")))
    return problems


def judge_rooms(name, text, code, failures, warnings):
    rooms = [("file", name, text.count("\n"))]
    rooms += [("function", f"{name}:{start}: {function}()", lines) for function, start, lines in functions(code)]
    for kind, where, lines in rooms:
        soft, hard = ROOMS[kind]
        if name.startswith("tests/") and kind == "file":
            hard *= 2
        if lines > hard:
            failures.append(f"{where}: {lines} lines, more than {hard}: a second {kind} hides in it")
        elif lines > soft:
            warnings.append(f"{where}: {lines} lines, more than {soft}")


def functions(code):
    """(name, first line, lines) of each function; clang-format puts its braces at a line's start."""
    lines = code.split("\n")
    head, start = "", None
    for number, line in enumerate(lines, 1):
        if line == "{" and "(" in head:
            start = number
        elif line == "}" and start:
            name = re.search(r"(\w+)\s*\(", head)
            yield (name.group(1) if name else "?"), start, number - start - 1
            start, head = None, ""
        elif start is None:
            head = "" if line.endswith((";", "}")) or line.startswith("#") else head + line


def stray_text(path):
    name, text = str(path.relative_to(TOP)), path.read_text(errors="replace")
    problems = []
    for pattern, what in ((MACHINE_PATH, "a path of one machine"),
                          (TASK, "a task without an issue's number (#12)")):
        problems += [f"{name}:{line_of(text, found.start())}: {what}: {found.group()}"
                     for found in pattern.finditer(text)]
    return problems


if __name__ == "__main__":
    sys.exit(main())
