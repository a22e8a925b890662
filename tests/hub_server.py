"""A small Hub for tests: the parts of its protocol that `huggingface_hub` uses, and its bad days.

    with HubServer() as hub:
        subprocess.run([…], env={**os.environ, **hub.environment(home)})

Everything is in memory. Tokens are checked, large files go through LFS, a commit happens whole or
not at all. `hub.fail(…)` makes it answer with 429, 500 or 403, cut a connection, or be slow.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

TOKEN = "hf_" + "t" * 34
STRANGERS_TOKEN = "hf_" + "s" * 34
_USERS = {TOKEN: "tester", STRANGERS_TOKEN: "stranger"}
_LARGE = (".safetensors", ".onnx", ".parquet", ".png")
# The Hub knows more; an unknown one must be refused.
_LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "other")
_URL_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True)
class Blob:
    """The content of a file, named by its git hash, or by its SHA-256 if it went through LFS."""

    content: bytes
    oid: str
    is_large: bool = False

    @classmethod
    def of(cls, path: str, content: bytes) -> "Blob":
        """Hash a content as the Hub does for a file of that name."""
        if path.endswith(_LARGE):
            return cls(content, hashlib.sha256(content).hexdigest(), is_large=True)
        return cls(content, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


@dataclass
class Repo:
    """Branches and pull requests, each a list of commits; a commit is all its files."""

    kind: str
    id: str
    private: bool = False
    branches: dict[str, list[str]] = field(default_factory=dict)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    pull_requests: list[dict[str, Any]] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, Blob]) -> str:
        """Add a commit to a branch; return its hash."""
        sha = hashlib.sha1(f"{self.kind} {self.id} {len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches.setdefault(branch, []).append(sha)
        return sha

    def resolve(self, revision: str) -> str:
        """Return the commit that a branch, a pull request or a hash stands for."""
        if revision in self.branches:
            return self.branches[revision][-1]
        if revision in self.commits:
            return revision
        raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def read(self, revision: str = "main") -> dict[str, bytes]:
        """Return the files of a revision, without the one that every repository starts with."""
        files = self.commits[self.resolve(revision)].items()
        return {path: blob.content for path, blob in files if path != ".gitattributes"}


class RefusalError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str, code: str = "", **details: str) -> None:
        self.status, self.message, self.code, self.details = status, message, code, details
        super().__init__(message)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match."""

    pattern: str
    kind: str
    times: int
    seconds: float


@dataclass(frozen=True)
class Request:
    """A request as the routes see it."""

    method: str
    path: str
    query: dict[str, str]
    user: str | None
    body: bytes

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class HubServer:
    """The server; a context manager that runs it in a thread."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """Return the variables of a process that is to know no Hub but this one."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        return variables if token is None else {**variables, "HF_TOKEN": token}

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the Hub of this process, with a token for it, until a test ends."""
        for name, value in {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)

    def fail(self, pattern: str, kind: str, times: int = 1, seconds: float = 0.0) -> None:
        """Let the next `times` requests whose "METHOD path" matches go wrong.

        Args:
            pattern: Searched for, a regular expression.
            kind: "429", "500", "quota" (403), "cut" (before the work), "lost" (the work is done,
                its answer cut off), or "slow".
            times: How often.
            seconds: How slow; for "429", after how long to come back.
        """
        self.faults.append(Fault(pattern, kind, times, seconds))

    def add_repo(
        self, repo_id: str, files: dict[str, bytes], kind: str = "model", private: bool = False
    ) -> Repo:
        """Make a repository with files in it, as if its owner had."""
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, private)
        contents = {".gitattributes": b"", **files}
        repo.commit("main", {path: Blob.of(path, content) for path, content in contents.items()})
        return repo

    def take_fault(self, line: str) -> Fault | None:
        """Write a request down; return the fault that is due for it."""
        with self._lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, request: Request) -> Answer:
        """Find the route of a request and follow it."""
        for methods, pattern, route in _ROUTES:
            match = re.fullmatch(pattern, request.path)
            if match and request.method in methods.split():
                with self._lock:
                    return route(self, request, match.groupdict())
        raise RefusalError(404, f"Found no route for {request.method} {request.path}")

    def find(self, request: Request, match: dict[str, str], *, write: bool = False) -> Repo:
        """Return the repository of a request, if its user may read it, or write it."""
        repo_id = match["id"]
        owner = repo_id.split("/")[0]
        repo = self.repos.get((match["kind"], repo_id))
        if repo is None or (repo.private and request.user != owner):
            raise RefusalError(404 if request.user else 401, "Repository not found", "RepoNotFound")
        if write and request.user != owner:
            raise RefusalError(403, "You don't have the rights to write here")
        return repo


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    # An answer is two writes: without this the second waits 40 ms for the receipt of the first.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer any request, or fail as told."""
        url = urlsplit(self.path)
        path = unquote(url.path)
        fault = self.hub.take_fault(f"{self.command} {path}") or Fault("", "none", 0, 0.0)
        if fault.kind == "cut":
            self._cut()
            return
        body = self._read_body()
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            self._fail(fault)
            request = Request(self.command, path, query, self._read_user(), body)
            answer = self.hub.answer(request)
        except RefusalError as refusal:
            headers = {"X-Error-Message": refusal.message, "Retry-After": f"{fault.seconds:.0f}"}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            content = json.dumps({"error": refusal.message, **refusal.details}).encode()
            if refusal.status == 500:  # a page for people, as servers in trouble answer
                content = b"<html>Internal error</html>"
            answer = Answer(content, headers, refusal.status)
        if fault.kind == "lost":
            self._cut()
        else:
            self._send(answer)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _fail(self, fault: Fault) -> None:
        match fault.kind:
            case "slow":
                time.sleep(fault.seconds)
            case "429":
                raise RefusalError(429, "Too many requests")
            case "500":
                raise RefusalError(500, "Internal error")
            case "quota":
                raise RefusalError(403, "Private repository storage limit reached")

    def _read_user(self) -> str | None:
        header = self.headers.get("Authorization")
        if header is None:
            return None
        user = _USERS.get(header.removeprefix("Bearer "))
        if user is None:
            raise RefusalError(401, "Invalid credentials in Authorization header")
        return user

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


# The routes: each returns what huggingface_hub reads, and no more.


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), {"Content-Type": "application/json"})


def _whoami(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    if request.user is None:
        raise RefusalError(401, "Invalid username or password.")
    return _json({"type": "user", "name": request.user, "orgs": []})


def _create_repo(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    asked = request.json()
    kind, owner = asked.get("type") or "model", asked.get("organization") or request.user
    if request.user is None:
        raise RefusalError(401, "Invalid username or password.")
    if owner != request.user:
        raise RefusalError(403, f"You don't have the rights to create a {kind} under {owner}")
    repo_id = f"{owner}/{asked['name']}"
    url = f"{hub.url}/{_URL_PREFIXES[kind]}{repo_id}"
    if (kind, repo_id) in hub.repos:
        raise RefusalError(409, f"You already created this {kind} repo", url=url)
    if kind == "space" and asked.get("sdk") != "gradio":
        raise RefusalError(400, "Expected the SDK of a Space")
    # Older clients say `private`, newer ones `visibility`.
    is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
    hub.add_repo(repo_id, {}, kind, is_private)
    return _json({"url": url})


def _create_branch(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match, write=True)
    if match["revision"] in repo.branches:
        raise RefusalError(409, "Reference already exists")
    repo.branches[match["revision"]] = list(repo.branches["main"])
    return _json({})


def _validate_yaml(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    errors = []
    parts = request.json()["content"].split("---\n", 2)
    data = yaml.safe_load(parts[1]) if len(parts) == 3 else None
    if not isinstance(data, dict):
        errors.append("expected metadata between lines of ---")
    else:
        if data.get("license", "other") not in _LICENSES:
            errors.append(f'"license" must be one of {_LICENSES}')
        if data.get("license") == "other" and not data.get("license_name"):
            errors.append('"license_name" is required')
        ids = [*_as_list(data.get("base_model")), *_as_list(data.get("datasets"))]
        errors += [
            f'"{name}" is no id' for name in ids if not re.fullmatch(r"[\w.-]+/[\w.-]+", name)
        ]
        for model in data.get("model-index", []):
            for result in model["results"]:
                if not {"task", "dataset", "metrics"} <= set(result):
                    errors.append('"model-index" lacks a task, a dataset or metrics')
    content = {"errors": [{"message": message} for message in errors], "warnings": []}
    return Answer(json.dumps(content).encode(), status=400 if errors else 200)


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _repo_info(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match)
    sha = repo.resolve(match["revision"] or "main")
    card = repo.read(sha).get("README.md", b"").decode().split("---\n", 2)
    return _json(
        {
            "_id": "0",
            "id": repo.id,
            "modelId": repo.id,
            "sha": sha,
            "private": repo.private,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "cardData": yaml.safe_load(card[1]) if len(card) == 3 else {},
            "siblings": [{"rfilename": path} for path in repo.commits[sha]],
        }
    )


def _tree(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match)
    files = repo.commits[repo.resolve(match["revision"])]
    folder = f"{match['path'].strip('/')}/" if match["path"] else ""
    inside = {path: blob for path, blob in files.items() if path.startswith(folder)}
    if folder and not inside:
        raise RefusalError(404, f"{folder} does not exist", "EntryNotFound")
    entries = []
    if request.query.get("recursive", "").lower() != "true":
        deeper = {
            path.removeprefix(folder).split("/")[0] for path in inside if "/" in path[len(folder) :]
        }
        entries = [
            {"type": "directory", "path": folder + name, "oid": "0" * 40, "size": 0}
            for name in sorted(deeper)
        ]
        inside = {path: blob for path, blob in inside.items() if "/" not in path[len(folder) :]}
    return _json([*entries, *(_describe(path, blob) for path, blob in inside.items())])


def _describe(path: str, blob: Blob) -> dict[str, Any]:
    size = len(blob.content)
    entry = {"type": "file", "path": path, "oid": blob.oid[:40], "size": size}
    return (
        {**entry, "lfs": {"oid": blob.oid, "size": size, "pointerSize": 130}}
        if blob.is_large
        else entry
    )


def _paths_info(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match)
    files = repo.commits[repo.resolve(match["revision"])]
    asked = (
        parse_qs(request.body.decode())["paths"]
        if b"paths=" in request.body
        else request.json()["paths"]
    )
    return _json([_describe(path, files[path]) for path in asked if path in files])


def _goes_to_branch(request: Request, match: dict[str, str]) -> bool:
    """Tell whether writing needs rights: everybody may open a pull request, and go on with it."""
    return "create_pr" not in request.query and not match["revision"].startswith("refs/pr/")


def _preupload(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match, write=_goes_to_branch(request, match))
    there = repo.commits[repo.resolve(match["revision"])]
    return _json(
        {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                    "oid": there[file["path"]].oid if file["path"] in there else None,
                }
                for file in request.json()["files"]
            ]
        }
    )


def _lfs_batch(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    kind = {"datasets": "dataset", "spaces": "space", None: "model"}[match["prefix"]]
    hub.find(request, {**match, "kind": kind})
    objects = []
    for item in request.json()["objects"]:
        action = {"upload": {"href": f"{hub.url}/lfs/{item['oid']}"}}
        objects.append(item if item["oid"] in hub.objects else {**item, "actions": action})
    return _json({"transfer": "basic", "objects": objects})


def _lfs_put(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != match["oid"]:
        raise RefusalError(400, "The content has another hash")
    hub.objects[match["oid"]] = request.body
    return Answer()


def _commit(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    makes_request = "create_pr" in request.query
    repo = hub.find(request, match, write=_goes_to_branch(request, match))
    files = dict(repo.commits[repo.resolve(match["revision"])])
    title = ""
    for line in request.body.splitlines():
        item = json.loads(line)
        value = item["value"]
        match item["key"]:
            case "header":
                title = value["summary"]
            case "file":
                content = base64.b64decode(value["content"])
                files[value["path"]] = Blob.of(value["path"], content)
            case "lfsFile":
                if value["oid"] not in hub.objects:
                    raise RefusalError(400, f"The content of {value['path']} was not uploaded")
                files[value["path"]] = Blob(hub.objects[value["oid"]], value["oid"], is_large=True)
            case "deletedFile":
                del files[value["path"]]
            case key:
                raise RefusalError(400, f"Cannot commit a {key}")
    page = f"{hub.url}/{_URL_PREFIXES[repo.kind]}{repo.id}"
    number = len(repo.pull_requests) + 1
    sha = repo.commit(f"refs/pr/{number}" if makes_request else match["revision"], files)
    answer = {"commitOid": sha, "commitUrl": f"{page}/commit/{sha}"}
    if makes_request:
        repo.pull_requests.append({"num": number, "title": title, "author": request.user})
        answer["pullRequestUrl"] = f"{page}/discussions/{number}"
    return _json(answer)


def _discussions(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match)
    found = [
        {
            "num": item["num"],
            "title": item["title"],
            "author": {"name": item["author"]},
            "repo": {"name": repo.id, "type": repo.kind},
            "status": "open",
            "isPullRequest": True,
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        for item in repo.pull_requests
        if request.query.get("author") in (None, item["author"])
    ]
    return _json({"discussions": found, "count": len(found), "start": 0})


def _add_variable(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    repo = hub.find(request, match, write=True)
    repo.variables[request.json()["key"]] = request.json()["value"]
    return _json({key: {"value": value} for key, value in repo.variables.items()})


def _resolve(hub: HubServer, request: Request, match: dict[str, str]) -> Answer:
    kind = {"datasets": "dataset", "spaces": "space", None: "model"}[match["prefix"]]
    repo = hub.find(request, {**match, "kind": kind})
    sha = repo.resolve(match["revision"])
    blob = repo.commits[sha].get(match["path"])
    if blob is None:
        raise RefusalError(404, f"{match['path']} does not exist", "EntryNotFound")
    headers = {"X-Repo-Commit": sha, "ETag": f'"{blob.oid}"'}
    if blob.is_large:
        headers |= {"X-Linked-Etag": f'"{blob.oid}"', "X-Linked-Size": str(len(blob.content))}
    return Answer(blob.content, headers)


_ID = r"(?P<id>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>model|dataset|space)s/{_ID}"
_WEB = rf"/(?:(?P<prefix>datasets|spaces)/)?{_ID}"
# A pull request's revision has slashes in it.
_REVISION = r"(?P<revision>refs/pr/\d+|refs/convert/\w+|[^/]+)"
_Route = Callable[[HubServer, Request, dict[str, str]], Answer]
_ROUTES: tuple[tuple[str, str, _Route], ...] = (
    ("GET", r"/api/whoami-v2", _whoami),
    ("POST", r"/api/repos/create", _create_repo),
    ("POST", r"/api/validate-yaml", _validate_yaml),
    ("POST", rf"{_API}/branch/{_REVISION}", _create_branch),
    ("POST", rf"{_API}/preupload/{_REVISION}", _preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", _commit),
    ("POST", rf"{_API}/paths-info/{_REVISION}", _paths_info),
    ("POST", rf"{_API}/variables", _add_variable),
    ("GET", rf"{_API}/discussions", _discussions),
    ("GET", rf"{_API}/tree/{_REVISION}(?P<path>/.*)?", _tree),
    ("GET", rf"{_API}(?:/revision/{_REVISION})?", _repo_info),
    ("POST", rf"{_WEB}\.git/info/lfs/objects/batch", _lfs_batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", _lfs_put),
    ("GET HEAD", rf"{_WEB}/resolve/{_REVISION}/(?P<path>.+)", _resolve),
)
