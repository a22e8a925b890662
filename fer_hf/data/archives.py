"""Sources that are archives: unpacked into the cache, once, where nothing else can be reached.

Whatever an archive has that a set of pictures does not need (links, devices, names that lead
elsewhere, sizes that explode) refuses it whole, and nothing of it stays in the cache.
"""

import os
import re
import shutil
import unicodedata
from pathlib import Path

from tqdm.auto import tqdm

from fer_hf.data.archive_members import (
    AGAIN,
    BY_HAND,
    Allowance,
    is_readable_kind,
    read_members,
    refuse,
)
from fer_hf.data.cache_folder import compute_key, explaining_full_disk, find_or_write

_VERSION = 1  # raise it when archives are unpacked in another way
_ENDING = re.compile(r"\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$", re.IGNORECASE)
_FOREIGN_ENDING = re.compile(
    r"\.(rar|7z|tar\.zst|tzst|tar\.lz4|tar\.lzma|tar\.z|gz|bz2|xz|zst|cab|dmg|iso|z\d\d|r\d\d|part\d+|\d{3})$",
    re.IGNORECASE,
)
_MOST_NESTING = 2
_MOST_NAME_BYTES, _MOST_PATH_BYTES = 255, 800
# Control characters, what is not UTF-8, and what Windows does not write.
_ILLEGAL = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff%s]" % ('<>:"|?*' if os.name == "nt" else ""))
_LEFT_OUT = {"__macosx", "thumbs.db", "desktop.ini"}


def is_archive(path: Path) -> bool:
    """Return whether `unpack` can unpack a file, by its ending and by how it begins."""
    return bool(_ENDING.search(path.name)) and path.is_file() and is_readable_kind(path)


def holds_archives(folder: Path) -> bool:
    """Return whether a folder directly holds archives that are not unpacked beside it already."""
    return bool(_find_archives(folder))


def refuse_foreign_archive(path: Path) -> None:
    """Refuse an archive that `unpack` cannot unpack, or a folder that directly holds one.

    Raises:
        ValueError: What to do with it.
    """
    for file in _list_visible(path) if path.is_dir() else [path]:
        if _FOREIGN_ENDING.search(file.name) and not _ENDING.search(file.name):
            do = f"{BY_HAND}, or pack it as .zip or .tar.gz"
            refuse(f"'{file}'", "is an archive of a kind that cannot be read here", do)
        if _ENDING.search(file.name) and file.is_file() and not is_archive(file):
            with file.open("rb") as opened:
                start = opened.read(20)
            found = f"is no archive, as its name says: it begins with {start!r}"
            refuse(f"'{file}'", found, f"Expected a zip or tar. {AGAIN}")


def unpack(path: Path) -> Path:
    """Unpack an archive into the cache, or find it there from the last time.

    Hidden files and what systems leave behind (`__MACOSX`, `Thumbs.db`) are left out. A lone folder
    around everything is left out too. Archives directly inside become folders of their names.

    Args:
        path: An archive; or a folder, of which the archives become folders of their names, and
            everything else is linked, or copied where links are not allowed.

    Returns:
        The folder with the content.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no archive; if it is damaged, encrypted, or unpacks to far more than it
            should; if it has links or special files, or names that lead elsewhere, repeat or cannot
            be written.
        OSError: If the disk is full.
    """
    with explaining_full_disk():
        if path.is_dir():
            return _unpack_folder(path.resolve())
        return _unpack_archive(path.absolute())


def _unpack_archive(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"There is no archive '{path}'. Check the path.")
    if not is_archive(path):
        refuse_foreign_archive(path)
        refuse(f"'{path}'", "is no archive", "Expected .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz")
    name, where = _stem(path), f"Archive '{path}'"

    def write(folder: Path) -> None:
        _extract(path, folder / name, Allowance.of(path), where)

    return find_or_write(compute_key([path], {"unpacked": _VERSION}), write) / name


def _unpack_folder(folder: Path) -> Path:
    contents = {name: unpack(archive) for name, archive in _find_archives(folder).items()}
    files: dict[Path, Path] = {}
    for child in _list_visible(folder):
        if child.is_dir():
            files |= {Path(child.name, file): child / file for file in _list_files(child)}
        elif not is_archive(child):
            files[Path(child.name)] = child
    identity = [*contents.values(), *files.values()]

    def write(entry: Path) -> None:
        for name, content in contents.items():
            files.update({Path(name, file): content / file for file in _list_files(content)})
        for place, original in files.items():
            target = entry / folder.name / place
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(original, target)

    return find_or_write(compute_key(identity, {"linked": _VERSION}), write) / folder.name


def _list_visible(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _list_files(folder: Path) -> list[Path]:
    """Return the files below a folder, hidden ones not, relative to it."""
    files = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    return [file for file in files if not any(part.startswith(".") for part in file.parts)]


def _link(original: Path, target: Path) -> None:
    try:
        target.symlink_to(original)
    except OSError:  # Windows allows it to few
        shutil.copy2(original, target)


def _stem(archive: Path) -> str:
    # Windows writes no folder that ends with a dot or blank.
    return _ENDING.sub("", archive.name).rstrip(". ") or "archive"


def _find_archives(folder: Path) -> dict[str, Path]:
    """Return the archives directly in a folder by the name of the folder they become.

    Raises:
        ValueError: If two become the same.
    """
    visible = _list_visible(folder)
    taken = {child.name.casefold() for child in visible}
    found: dict[str, Path] = {}
    for child in visible:
        name = _stem(child)
        if name.casefold() in taken or not is_archive(child):
            continue
        for other in found:
            if other.casefold() == name.casefold():
                refuse(
                    f"'{child}' and '{found[other]}'",
                    f"would both become the folder '{name}'",
                    "Rename or remove one",
                )
        found[name] = child
    return found


def _extract(
    archive: Path, target: Path, allowance: Allowance, where: str, nesting: int = 0
) -> None:
    loose = target.with_name(".unpacking")  # hidden: no member is called so
    loose.mkdir()
    _write_members(archive, loose, allowance, where)
    for name, inner in _find_archives(_step_in(loose)).items():
        inside = f"{where}, in it '{inner.name}',"
        if nesting == _MOST_NESTING:
            refuse(inside, f"is nested more than {_MOST_NESTING} archives deep", BY_HAND)
        _extract(inner, inner.with_name(name), allowance, inside, nesting + 1)
        inner.unlink()
    _step_in(loose).rename(target)
    shutil.rmtree(loose, ignore_errors=True)


def _step_in(folder: Path) -> Path:
    """Return the innermost folder around everything in a folder."""
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def _write_members(archive: Path, folder: Path, allowance: Allowance, where: str) -> None:
    seen: dict[str, tuple[str, bool]] = {}
    written = 0
    with (
        archive.open("rb") as file,
        tqdm(
            total=archive.stat().st_size,
            desc=f"Unpacking {archive.name}",
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        for member in read_members(file, allowance, where):
            inside = f"{where} (member {member.name!r})"
            place = _check_name(member.name, inside)
            if not place:
                continue
            if member.is_special:
                found = "is a link or a special file, expected files and folders only"
                refuse(inside, found, BY_HAND)
            _make_room(folder, place, seen, inside, is_folder=member.is_folder)
            if member.is_folder:
                continue
            with (folder / place).open("xb") as output:
                for piece in member.read():
                    output.write(piece)
                    bar.update(file.tell() - bar.n)
                if output.tell() != member.num_bytes:
                    found = f"ends after {output.tell()} bytes, expected {member.num_bytes}"
                    refuse(inside, found, AGAIN)
            written += 1
        bar.update(bar.total - bar.n)
    if not written:
        refuse(where, "holds no files that are not hidden", "Expected pictures. Check its content")


def _check_name(name: str, where: str) -> str:
    """Return where a member belongs, below the folder of the archive; nothing to leave it out.

    Raises:
        ValueError: If the name leads elsewhere, or cannot be written on every machine.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in parts:
        found = "would be written outside of its folder, expected a name below it"
        refuse(where, found, "Do not trust this archive")
    if any(part.startswith(".") or part.casefold() in _LEFT_OUT for part in parts):
        return ""
    if _ILLEGAL.search(name):
        found = "has a character in its name that file names may not have"
        refuse(where, found, f"Rename it, or: {BY_HAND}")
    sizes = [len(part.encode()) for part in parts]
    if max(sizes, default=0) > _MOST_NAME_BYTES or sum(sizes) + len(sizes) > _MOST_PATH_BYTES:
        found = f"has a name of more than {_MOST_NAME_BYTES} bytes, or {_MOST_PATH_BYTES} in all"
        refuse(where, found, f"Shorten it, or: {BY_HAND}")
    return "/".join(parts)


def _make_room(
    folder: Path, place: str, seen: dict[str, tuple[str, bool]], where: str, *, is_folder: bool
) -> None:
    """Make the folders of a member.

    Raises:
        ValueError: If its name was seen before, or one that only some machines tell apart from it.
    """
    path, path_is_folder = place, is_folder
    while path:
        key = unicodedata.normalize("NFC", path).casefold()
        if key in seen:
            if seen[key] != (path, True) or not path_is_folder:
                found = f"has the name of {seen[key][0]!r}, apart from case at most"
                refuse(where, found, f"Expected one of its own. {BY_HAND}")
            return
        seen[key] = path, path_is_folder
        if path_is_folder:
            (folder / path).mkdir(parents=True, exist_ok=True)
        path, path_is_folder = path.rpartition("/")[0], True
