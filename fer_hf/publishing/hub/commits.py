"""One commit to a repository of the Hub: whole or not at all, and again where the network failed.

`huggingface_hub` itself retries only some of the calls below (asking how to upload, LFS, listing
files), and neither the commit nor the creation of a repository. A commit can be retried here since
files that are there already are left out of it: if only the answer got lost, nothing is left to
commit.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    get_token,
)
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import HFValidationError, validate_repo_id

from fer_hf.publishing.hub.leaks import check_for_leaks

logger = logging.getLogger(__name__)

RepoType = Literal["model", "dataset", "space"]

_T = TypeVar("_T")
_WAITS = (1.0, 4.0, 16.0)
_LONGEST_WAIT = 60.0
# Without it, a connection that went silent would be waited for forever. Counts from the last byte.
_SILENCE_SECONDS = 120.0
_TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Pushed:
    """Where something is on the Hub now.

    Attributes:
        url: Its page, or that of the pull request.
        commit: Hash of the commit that holds it.
        is_new: Whether that commit was made just now; False where nothing had changed.
    """

    url: str
    commit: str
    is_new: bool

    def __str__(self) -> str:
        return f"{'published' if self.is_new else 'nothing has changed'}: {self.url}"


class Target(TypedDict, total=False):
    """Where in a repository a push goes.

    Attributes:
        private: Make the repository private. One that exists must be so already.
        revision: Branch to commit to, made from `main` where there is none.
        create_pr: Open a pull request instead; the user's open one of the same title is updated.
    """

    private: bool
    revision: str | None
    create_pr: bool


def check_login() -> str:
    """Ask the Hub who the user is; return the name. Errors as those of `call_hub`."""
    _require_token()
    return call_hub(lambda: str(HfApi().whoami(cache=True)["name"]))


def commit_files(
    repo_id: str,
    files: Mapping[str, Path | bytes],
    *,
    message: str,
    repo_type: RepoType = "model",
    replaces: Sequence[str] = (),
    **target: Unpack[Target],
) -> Pushed:
    """Bring files into a repository by one commit; the repository is made where there is none.

    Args:
        repo_id: `namespace/name`.
        files: Path in the repository to a file or its content.
        message: Title of the commit, and of the pull request.
        repo_type: What kind of repository.
        replaces: Patterns of paths, as for `fnmatch`. What is there, matches and is not among
            `files`, an earlier push left behind: it is deleted.
        **target: As in `Target`.

    Raises:
        ValueError: A `repo_id` that is not one, settings that exclude each other, or a file that
            holds a token or a path.
        PermissionError: The Hub does not know the user, or does not let them.
        ConnectionError: The Hub cannot be reached, or goes on failing.
        OSError: It refuses for another reason.
    """
    _check_call(repo_id, target)
    check_for_leaks(files, paths=repo_type != "space")  # in code, paths are nothing special
    _require_token()
    repository = _Repository(repo_id, repo_type, message, target)
    with _give_up_on_silence():
        head = call_hub(repository.prepare)
        return call_hub(lambda: repository.commit(files, replaces, head))


class _Repository:
    """A repository to push to; each method can be called again after it failed."""

    def __init__(self, repo_id: str, repo_type: RepoType, message: str, target: Target) -> None:
        self.api, self.message = HfApi(), message
        self.where: Any = {"repo_id": repo_id, "repo_type": repo_type}
        self.is_private = target.get("private", False)
        self.revision = target.get("revision")
        self.is_request = target.get("create_pr", False)

    def prepare(self) -> str:
        """Make the repository and the branch where they are missing; return the commit there."""
        self.api.create_repo(
            **self.where,
            private=self.is_private or None,
            space_sdk="gradio" if self.where["repo_type"] == "space" else None,
            exist_ok=True,
        )
        if self.revision and not self.revision.startswith("refs/"):
            self.api.create_branch(**self.where, branch=self.revision, exist_ok=True)
        info = self.api.repo_info(**self.where, revision=self._find_revision()[0])
        if self.is_private and not info.private:
            raise PermissionError(
                f"`{self.where['repo_id']}` is public already, expected a private repository. Make "
                "it private in its settings, or choose another name."
            )
        return str(info.sha)

    def commit(
        self, files: Mapping[str, Path | bytes], replaces: Sequence[str], head: str
    ) -> Pushed:
        """Add the files and delete the stale ones; where nothing changes, `head` stays."""
        revision, page = self._find_revision()
        there = self.api.list_repo_files(**self.where, revision=revision)
        stale = [
            path
            for path in there
            if path not in files and any(fnmatch(path, pattern) for pattern in replaces)
        ]
        found = self.api.create_commit(
            **self.where,
            operations=[
                *(CommitOperationAdd(path, content) for path, content in files.items()),
                *(CommitOperationDelete(path, is_folder=False) for path in stale),
            ],
            commit_message=self.message,
            revision=revision,
            create_pr=self.is_request and page is None,
        )
        return Pushed(page or found.pr_url or found.repo_url.url, found.oid, found.oid != head)

    def _find_revision(self) -> tuple[str | None, str | None]:
        """Return the revision to commit to, and the page of the user's open pull request."""
        if not self.is_request:
            return self.revision, None
        requests = self.api.get_repo_discussions(
            **self.where,
            author=self.api.whoami(cache=True)["name"],
            discussion_type="pull_request",
            discussion_status="open",
        )
        own = (request for request in requests if request.title == self.message)
        request = next(own, None)
        return (str(request.git_reference), request.url) if request else (None, None)


def call_hub(action: Callable[[], _T]) -> _T:
    """Call `action`, retry where that may help, and explain where it does not.

    After 408, 429, 5xx and dropped connections it waits 1, 4 and 16 seconds, or as long as the Hub
    says, but a minute at most.

    Raises:
        PermissionError: The Hub does not know the user, or does not let them.
        ConnectionError: The Hub cannot be reached, or goes on failing.
        OSError: It refuses for another reason.
    """
    waits = iter(_WAITS)
    while True:
        try:
            return action()
        except PermissionError:
            raise
        except (HTTPError, OSError, RuntimeError, ValueError) as error:
            causes = list(_list_causes(error))
            wait = next(waits, None)
            if wait is None or not any(map(_is_transient, causes)):
                raise _explain(error, causes) from error
            wait = max(wait, *map(_read_retry_after, causes))
            logger.warning("The Hub: %s. Retrying in %.0f s.", _shorten(error), wait)
            time.sleep(wait)


def _check_call(repo_id: str, target: Target) -> None:
    try:
        validate_repo_id(repo_id)
        is_whole = "/" in repo_id
    except HFValidationError:
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"`repo_id` is {repo_id!r}, expected the name of a user or an organization and of a "
            "repository, such as you/your-fer."
        )
    if target.get("revision") and target.get("create_pr"):
        raise ValueError("A pull request goes to `main`. Give one of --revision and --create_pr.")


def _require_token() -> None:
    if get_token() is None:
        raise PermissionError(
            "Found no Hub token, expected one with write access. Log in with `hf auth login`, "
            "or set HF_TOKEN."
        )


@contextmanager
def _give_up_on_silence() -> Iterator[None]:
    session = get_session()
    before, session.timeout = session.timeout, _SILENCE_SECONDS
    try:
        yield
    finally:
        session.timeout = before


def _list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from: uploads wrap those of the network."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, HTTPError):
        # Only an answer has a response: without one, the connection failed.
        response = getattr(error, "response", None)
        return response is None or response.status_code in _TRANSIENT_STATUS
    # A server in trouble answers with a page for people where JSON is read.
    return isinstance(error, json.JSONDecodeError)


def _read_retry_after(error: BaseException) -> float:
    if not isinstance(error, HfHubHTTPError):
        return 0.0
    value = error.response.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_WAIT) if value.isdecimal() else 0.0


def _explain(error: Exception, causes: Sequence[BaseException]) -> OSError:
    reason = _shorten(error)
    status = next((e.response.status_code for e in causes if isinstance(e, HfHubHTTPError)), None)
    if status == 401:
        return PermissionError(
            f"The Hub does not know the token ({reason}). Log in with `hf auth login`, or set "
            "HF_TOKEN to a token that may write."
        )
    if status == 403:
        return PermissionError(f"The Hub does not allow it: {reason}.")
    if isinstance(error, OfflineModeIsEnabled) or any(map(_is_transient, causes)):
        return ConnectionError(f"The Hub cannot be reached, or does not work: {reason}.")
    return OSError(f"The Hub refused: {reason}.")


def _shorten(error: Exception) -> str:
    """Return the gist of an error in one line: what the server said, or the error itself."""
    said = getattr(error, "server_message", None)
    text = said or re.sub(r"\(Request ID: .*?\)", "", str(error)) or type(error).__name__
    return " ".join(text.split()).rstrip(".")
