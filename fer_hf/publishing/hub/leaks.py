"""What must not be published: tokens, and paths that give away the user's machine."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from huggingface_hub import get_token

# Hugging Face, GitHub, AWS, OpenAI and the like, and private keys.
_TOKEN = re.compile(
    r"\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{36}|\bAKIA[A-Z0-9]{16}\b|\bsk-[\w-]{32,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
# Two folders deep, and neither a part of an address nor of a relative path.
_PATH = re.compile(r"(?<![\w/.:<~)\]])~?(?:/[\w.-]+){2,}|\b[A-Za-z]:(?:\\\\?[\w.-]+)+")
_TEXT = {".json", ".md", ".py", ".txt", ".yaml", ".yml", ".toml", ".cfg", ".html", ".css", ".js"}
_WEIGHTS = ".safetensors"
# Pictures are published as they are, and hundreds of megabytes hold whatever bytes one looks for.
_PICTURES = ".parquet"


def check_for_leaks(files: Mapping[str, Path | bytes], *, paths: bool = True) -> None:
    """Refuse files that hold a token, or the path of a folder on some machine.

    Texts are searched for anything that looks like one; other files (an exported graph can quote
    the code that made it) for this machine's own.

    Args:
        files: Path in the repository to a file or its content.
        paths: Whether paths are searched for as well. In code they are nothing special.

    Raises:
        ValueError: One was found; the message says where, and not what.
    """
    for name, source in files.items():
        suffix = Path(name).suffix
        if suffix == _PICTURES:
            continue
        content = source if isinstance(source, bytes) else _read(source)
        search = _search_text if suffix in (*_TEXT, _WEIGHTS) else _search_bytes
        if leak := next(search(content, paths=paths), None):
            raise ValueError(
                f"`{name}` holds {leak}, which must not be published. Take it out and push again."
            )


def _read(file: Path) -> bytes:
    """Read a file; of weights only the header, which is the text in it (and 8 bytes of length)."""
    with file.open("rb") as stream:
        if file.suffix == _WEIGHTS:
            return stream.read(int.from_bytes(stream.read(8), "little"))
        return stream.read()


def _search_text(content: bytes, *, paths: bool) -> Iterator[str]:
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if _TOKEN.search(line):
            yield f"a token in line {number}"
        if paths and (match := _PATH.search(line)):
            yield f"the path {match[0]!r} in line {number}"


def _search_bytes(content: bytes, *, paths: bool) -> Iterator[str]:
    token = get_token()
    if token and token.encode() in content:
        yield "your token"
    for folder in {str(Path.home()), str(Path.cwd()), sys.prefix} if paths else ():
        # As it would stand in a text, with something below it; `/` alone is everywhere.
        if len(folder) > 1 and f"{folder}/".encode() in content:
            yield f"the path {json.dumps(folder)}"
