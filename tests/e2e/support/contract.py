"""openapi.yaml as a judge: is this answer one that it describes? And: was every operation asked?"""

import json as jsonlib
import re
from datetime import datetime

import yaml
from jsonschema import Draft202012Validator, FormatChecker, RefResolver

METHODS = ("get", "put", "post", "patch", "delete", "head", "options")
PROBLEM = "application/problem+json"
formats = FormatChecker(())


@formats.checks("date-time", raises=ValueError)
def _is_date_time(value):
    return not isinstance(value, str) or bool(
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ" if "." in value else "%Y-%m-%dT%H:%M:%SZ"))


class Contract:
    def __init__(self, path):
        self.document = yaml.safe_load(path.read_text()) or {}
        self.resolver = RefResolver("", self.document)
        self.operations = {}  # (method, template segments) -> operation
        for template, item in (self.document.get("paths") or {}).items():
            for method in METHODS:
                if method in item:
                    self.operations[method, tuple(template.split("/"))] = item[method]
        self.exercised = set()
        self.answered = set()  # (operationId, status)

    def unexercised(self):
        return sorted({operation["operationId"] for operation in self.operations.values()} - self.exercised)

    def find(self, method, target):
        """The operation, by the template with the most literal segments; None for an unknown path."""
        segments = target.split("?")[0].split("/")
        best = None
        for (of_method, template), operation in self.operations.items():
            if of_method == method and len(template) == len(segments) and all(map(_fits, template, segments)):
                literals = sum("{" not in piece for piece in template)
                if best is None or literals > best[0]:
                    best = literals, operation
        return best[1] if best else None

    def judge(self, answer):
        """Raises AssertionError for an answer that openapi.yaml does not describe."""
        if not self.operations:
            return  # the coverage test fails then
        method = answer.method.lower()
        assert answer.headers.get("X-Request-Id"), f"no X-Request-Id: {answer!r}"
        operation = self.find(method, answer.target) or (method == "head" and self.find("get", answer.target))
        if not operation:
            self._judge_stranger(answer)
            return
        name = operation["operationId"]
        self.exercised.add(name)
        self.answered.add((name, answer.status))
        described = self._response(operation, answer.status)
        assert described is not None, f"{name} does not describe status {answer.status}: {answer!r}"
        self._judge_headers(name, described, answer)
        if method == "head":
            assert answer.body == b"", f"HEAD with a body: {answer!r}"
        else:
            self._judge_body(name, described, answer)

    def _judge_stranger(self, answer):
        """An unknown path or method: preflights apart, a problem."""
        if answer.method in ("OPTIONS", "HEAD"):
            return
        assert answer.status >= 400 and answer.content_type == PROBLEM, f"not in openapi.yaml: {answer!r}"
        problem = self.document.get("components", {}).get("schemas", {}).get("Problem")
        if problem:
            self._validate("problem", problem, answer.json)

    def _response(self, operation, status):
        responses = operation["responses"]
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in responses:
                return self._resolve(responses[key])
        return None

    def _judge_headers(self, name, described, answer):
        for header, description in described.get("headers", {}).items():
            description = self._resolve(description)
            value = answer.headers.get(header)
            assert value is not None or not description.get("required"), f"{name}: no {header} header: {answer!r}"
            if value is not None and "schema" in description:
                self._validate(f"{name}: header {header}", description["schema"], _typed(value))

    def _judge_body(self, name, described, answer):
        content = described.get("content")
        if not content:
            assert answer.body == b"", f"{name} describes no body for {answer.status}: {answer!r}"
            return
        kind = answer.content_type
        known = [key for key in (kind, kind.split("/")[0] + "/*", "*/*") if key in content]
        assert known, f"{name} does not describe {kind!r} for {answer.status}: {answer!r}"
        media = content[known[0]]
        if kind == "application/x-ndjson" and "schema" in media:
            for line in answer.text.splitlines():
                self._validate(f"{name} {answer.status}", media["schema"], jsonlib.loads(line))
        elif kind.endswith("json") and "schema" in media:
            self._validate(f"{name} {answer.status}", media["schema"], answer.json)
            if kind == PROBLEM:
                assert answer.json["status"] == answer.status, f"{name}: the status differs: {answer!r}"

    def _validate(self, what, schema, value):
        validator = Draft202012Validator(schema, resolver=self.resolver, format_checker=formats)
        problems = sorted(validator.iter_errors(value), key=lambda problem: list(map(str, problem.absolute_path)))
        assert not problems, what + ": " + "; ".join(
            f"/{'/'.join(map(str, problem.absolute_path))}: {problem.message[:300]}" for problem in problems[:5])

    def _resolve(self, thing):
        while "$ref" in thing:
            thing = self.resolver.resolve(thing["$ref"])[1]
        return thing


def _fits(piece, segment):
    if "{" not in piece:
        return piece == segment
    pattern = "".join(".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", piece))
    # A colon verb (messages:query) is a literal of its own, never a parameter's end.
    return re.fullmatch(pattern, segment) is not None


def _typed(value):
    return int(value) if re.fullmatch(r"\d{1,15}", value) else value
