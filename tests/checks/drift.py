"""Routes, openapi.yaml, the README's settings table and --help: all say the same, or this fails. So do the packages
that are installed here and in the container.

Usage: drift.py POSTERN
"""

import difflib
import re
import subprocess
import sys
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "patch", "delete")
MARK_BEGIN, MARK_END = "<!-- settings -->", "<!-- /settings -->"


def main(program):
    problems = [*routes_against_openapi(program), *settings_against_readme(program), *settings_against_help(program),
                *packages_against_dockerfile()]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def ask(program, flag):
    return subprocess.run([program, flag], capture_output=True, text=True, check=True, timeout=30).stdout


def openapi():
    return yaml.safe_load((TOP / "openapi.yaml").read_text()) or {}


def routes_against_openapi(program):
    routes = {}
    for line in ask(program, "--routes").splitlines():
        method, template, operation = line.split()
        routes[method.lower(), template] = operation
    described = {}
    for template, item in (openapi().get("paths") or {}).items():
        for method in METHODS:
            if method in item:
                described[method, template] = item[method].get("operationId")
    for key in sorted(routes.keys() | described.keys()):
        where = f"{key[0].upper()} {key[1]}"
        if key not in described:
            yield f"{where}: is a route, but not in openapi.yaml"
        elif key not in routes:
            yield f"{where}: is in openapi.yaml, but no route"
        elif routes[key] != described[key]:
            yield f"{where}: operationId is {described[key]} in openapi.yaml, {routes[key]} in the routes"


def settings_against_readme(program):
    readme = TOP / "README.md"
    text = readme.read_text() if readme.exists() else ""
    if text.count(MARK_BEGIN) != 1 or text.count(MARK_END) != 1:
        yield f"README.md: wants the settings table once, between {MARK_BEGIN} and {MARK_END}"
        return
    said = text.split(MARK_BEGIN)[1].split(MARK_END)[0].strip().splitlines()
    wanted = ask(program, "--settings-markdown").strip().splitlines()
    for line in difflib.unified_diff(said, wanted, "README.md", "postern --settings-markdown", n=0, lineterm=""):
        yield line


def settings_against_help(program):
    shown = ask(program, "--help")
    for name in re.findall(r"^\| `(\w+)`", ask(program, "--settings-markdown"), re.M):
        if f"  --{name.replace('_', '-')}=" not in shown:
            yield f"--help does not mention {name}"


def packages_against_dockerfile():
    building, running = (stage.split() for stage in (TOP / "docker/Dockerfile").read_text().split("\nFROM ")[-2:])
    wanted = (TOP / "tests/checks/deps.sh").read_text().split("build='")[1].split("'")[0].split()
    for package in wanted:
        if not re.fullmatch(r"(lib|zlib).+-dev", package) or package == "libc6-dev":
            continue
        if package not in building:
            yield f"docker/Dockerfile builds without {package}"
        depends = subprocess.run(["dpkg-query", "-W", "-f", "${Depends}", package], capture_output=True, text=True, check=True)
        if not set(re.findall(r"(?:^|, )([^ ,]+)", depends.stdout)) & set(running):
            yield f"docker/Dockerfile runs without the library of {package}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
