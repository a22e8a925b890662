"""Archives as sources."""

import bz2
import errno
import gzip
import io
import logging
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from fer_hf.data import archive_members, archives
from fer_hf.data.archives import holds_archives, is_archive, refuse_foreign_archive, unpack


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fer_hf"


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members):
    endings = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".tbz2": "bz2", ".xz": "xz", ".TXZ": "xz"}
    with tarfile.open(path, f"w:{endings.get(path.suffix, '')}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write(path, members):
    return (write_zip if path.suffix.lower() == ".zip" else write_tar)(path, members)


def read(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def pack(members):
    buffer = io.BytesIO()
    write_zip(buffer, members)
    return buffer.getvalue()


def refused(path, match):
    """Nothing may be left of what is refused, nor be outside."""
    home = Path(os.environ["HF_DATASETS_CACHE"], "fer_hf")
    with pytest.raises(ValueError, match=match) as caught:
        unpack(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert [entry for entry in home.glob("*") if entry.suffix != ".lock"] == []
    assert not (path.parent / "1.jpg").exists()


MEMBERS = {"happy/1.jpg": b"one", "sad/deep/2.jpg": b"two" * 1000, "labels.csv": b""}
NAMES = ["a.zip", "a.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tbz2", "a.tar.xz", "a.TXZ"]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_unpacked_into_a_folder_of_its_name(tmp_path, home, name):
    path = write(tmp_path / name, MEMBERS)
    assert is_archive(path)
    folder = unpack(path)
    assert read(folder) == MEMBERS
    assert folder.name == "a"
    assert home in folder.parents


def test_a_zip_may_be_stored_without_compression(tmp_path):
    assert read(unpack(write_zip(tmp_path / "a.zip", MEMBERS, zipfile.ZIP_STORED))) == MEMBERS


def test_it_is_unpacked_once_until_it_changes(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", MEMBERS)
    first = unpack(path)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_extract", None)  # must not be called
        assert unpack(path) == first
    write_zip(path, {"happy/1.jpg": b"another", "sad/1.jpg": b""})
    assert read(unpack(path)) == {"happy/1.jpg": b"another", "sad/1.jpg": b""}


def test_ending_and_content_make_an_archive(tmp_path):
    (tmp_path / "page.zip").write_text("<!DOCTYPE html>")
    (tmp_path / "short.tar").write_bytes(b"")
    write_zip(tmp_path / "a.npz", MEMBERS)
    (tmp_path / "folder.zip").mkdir()
    assert not any(is_archive(path) for path in tmp_path.iterdir())
    # What a download left unfinished is one all the same, so that it is refused as such.
    whole = write_zip(tmp_path / "a.zip", MEMBERS)
    whole.write_bytes(whole.read_bytes()[:50])
    assert is_archive(whole)


def test_hidden_files_and_a_lone_folder_around_everything_are_left_out(tmp_path):
    litter = [".DS_Store", "__MACOSX/set/._1.jpg", "set/happy/Thumbs.db", ".git/config"]
    members = {f"set/pictures/{name}": content for name, content in MEMBERS.items()}
    path = write_zip(tmp_path / "a.zip", members | dict.fromkeys(litter, b"x"))
    assert read(unpack(path)) == MEMBERS


def test_archives_in_archives_become_folders(tmp_path):
    inner = pack({"train/happy/1.jpg": b"1", "train/sad/1.jpg": b"2"})
    members = {"set/train.zip": inner, "set/labels.csv": b"x"}
    assert read(unpack(write_tar(tmp_path / "a.tar", members))) == {
        "train/happy/1.jpg": b"1",
        "train/sad/1.jpg": b"2",
        "labels.csv": b"x",
    }
    twice = write_zip(tmp_path / "b.zip", {"c.zip": pack({"d.zip": pack(MEMBERS)})})
    assert read(unpack(twice)) == MEMBERS


def test_archives_nested_deeper_are_refused(tmp_path):
    content = pack(MEMBERS)
    for _ in range(3):
        content = pack({"in.zip": content, "other": b""})
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", r"in it 'in.zip', is nested more than 2 archives deep\. Unpack it")


@pytest.fixture
def folder(tmp_path):
    """Two archives, a table, a folder, and what is hidden."""
    folder = tmp_path / "set"
    (folder / "more" / ".git").mkdir(parents=True)
    (folder / "more" / ".git" / "x").touch()
    (folder / "more" / "3.jpg").write_bytes(b"3")
    (folder / "labels.csv").write_bytes(b"x")
    (folder / ".hidden.zip").touch()
    write_zip(folder / "train.zip", {"train/happy/1.jpg": b"1", "train/sad/1.jpg": b"2"})
    write_tar(folder / "shard-0000.tar", {"1.jpg": b"3", "1.cls": b"4"})
    return folder


@pytest.mark.parametrize("may_link", [True, False])
def test_archives_of_a_folder_become_folders_beside_what_is_there(folder, monkeypatch, may_link):
    if not may_link:

        def refuse_link(path, target):
            raise OSError("A required privilege is not held by the client")

        monkeypatch.setattr(Path, "symlink_to", refuse_link)
    assert holds_archives(folder)
    unpacked = unpack(folder)
    assert read(unpacked) == {
        "train/happy/1.jpg": b"1",
        "train/sad/1.jpg": b"2",
        "shard-0000/1.jpg": b"3",
        "shard-0000/1.cls": b"4",
        "more/3.jpg": b"3",
        "labels.csv": b"x",
    }
    assert unpacked.name == "set"
    assert (unpacked / "labels.csv").is_symlink() == may_link
    assert unpack(folder) == unpacked
    (folder / "labels.csv").write_bytes(b"changed")
    (folder / "more" / "4.jpg").write_bytes(b"4")
    again = read(unpack(folder))
    assert (again["labels.csv"], again["more/4.jpg"]) == (b"changed", b"4")


def test_an_archive_beside_its_folder_counts_as_unpacked(folder):
    (folder / "Train").mkdir()
    (folder / "shard-0000").mkdir()
    assert not holds_archives(folder)


def test_two_archives_of_one_name_are_refused(folder):
    write_tar(folder / "Train.tar", MEMBERS)
    refused(folder, r"Train.tar' and .*train.zip' would both become|train.zip' and .*Train.tar'")


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["愤怒/我.jpg", "快乐/你.jpg"], "utf-8"),
        (["愤怒/我.jpg", "快乐/你.jpg"], "gbk"),
        (["憤怒/一.jpg", "驚訝/二.jpg"], "big5"),
        (["怒り/表.jpg", "悲しみ/ソ.jpg"], "cp932"),
        (["분노/가.jpg", "슬픔/나.jpg"], "cp949"),
        (["гнев/1.jpg", "страх/2.jpg"], "cp866"),
        (["şaşkın/1.jpg", "kızgın/2.jpg"], "cp857"),
        (["złość/1.jpg", "lęk/2.jpg"], "cp852"),
        (["Ärger/1.jpg", "Überraschung/2.jpg"], "cp437"),
    ],
)
def test_names_are_read_in_the_encoding_in_which_they_name_emotions(
    tmp_path, names, encoding, flag
):
    path = tmp_path / "a.zip"
    if flag:
        write_zip(path, dict.fromkeys(names, b"x"))
    else:
        codes = [name.encode(encoding) for name in names]
        plain = [f"{number}" * len(code) for number, code in enumerate(codes)]
        content = pack(dict.fromkeys(plain, b"x"))
        for old, new in zip(plain, codes, strict=True):
            content = content.replace(old.encode(), new)
        path.write_bytes(content)
    assert sorted(read(unpack(path))) == sorted(names)


def test_names_in_an_unknown_encoding_are_told_about(tmp_path, caplog):
    content = pack({"000/1.jpg": b"", "ok/2.jpg": b""}).replace(b"000", b"\x80\xff\x81")
    (tmp_path / "a.zip").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert sorted(read(unpack(tmp_path / "a.zip"))) == ["ok/2.jpg", "Ç\xa0ü/1.jpg"]
    assert "a.zip' has names in an unknown encoding" in caplog.text


def test_backslashes_are_folders(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"train\\happy\\1.jpg": b"1", "train\\sad\\1.jpg": b"2"})
    assert sorted(read(unpack(path))) == ["happy/1.jpg", "sad/1.jpg"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("/etc/passwd", r"member '/etc/passwd'\) would be written outside.*Do not trust"),
        ("../1.jpg", "outside of its folder"),
        ("happy/../../1.jpg", "outside of its folder"),
        (".hidden/../../1.jpg", "outside of its folder"),
        ("..\\1.jpg", "outside of its folder"),
        ("\\\\server\\share\\1.jpg", "outside of its folder"),
        ("C:\\1.jpg", "outside of its folder"),
        ("c:1.jpg", "outside of its folder"),
        ("ha\x07ppy/1.jpg", "character in its name that file names may not have. Rename"),
        ("ha\nppy/1.jpg", "character in its name"),
        ("é" * 128, "name of more than 255 bytes, or 800 in all. Shorten"),
        ("happy/" * 140 + "1.jpg", "or 800 in all"),
        ("HAPPY/1.JPG", r"has the name of 'happy/1.jpg', apart from case.*Expected one of its own"),
        ("Happy/2.jpg", "has the name of 'happy'"),
        ("happy", "has the name of 'happy'"),
        ("happy/1.jpg/2.jpg", "has the name of 'happy/1.jpg'"),
    ],
)
def test_names_that_lead_elsewhere_or_cannot_be_written_are_refused(tmp_path, kind, name, match):
    refused(write(tmp_path / f"a.{kind}", {"happy/1.jpg": b"1", name: b"2"}), match)


def test_names_that_are_not_utf8_in_a_tar_are_refused(tmp_path):
    with tarfile.open(
        tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as archive:
        archive.addfile(tarfile.TarInfo("hé/1.jpg"))
    with pytest.raises(ValueError, match="character in its name"):
        unpack(tmp_path / "a.tar")


def test_a_name_that_comes_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("happy/1.jpg"))
    refused(tmp_path / "a.tar", "has the name of 'happy/1.jpg'")


def test_folders_may_come_after_their_files_and_empty_ones_are_kept(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("happy/1.jpg", b"1")
        archive.mkdir("happy")
        archive.mkdir("sad")
    folder = unpack(tmp_path / "a.zip")
    assert (sorted(read(folder)), (folder / "sad").is_dir()) == (["happy/1.jpg"], True)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_special_files_of_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("happy/1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    refused(tmp_path / "a.tar", r"'happy/1.jpg'\) is a link or a special file, expected files and")


def test_links_of_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("happy/1.jpg")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "is a link or a special file")


def patch_headers(path, offset, value, form="<H"):
    """Change a field of every local and central header; the central one has it 2 bytes later."""
    content = bytearray(path.read_bytes())
    for magic, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = -1
        while (start := content.find(magic, start + 1)) >= 0:
            struct.pack_into(form, content, start + offset + shift, value)
    path.write_bytes(content)


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"1.jpg": b"1"})
    patch_headers(path, 6, 1)
    refused(path, "needs a password for member '1.jpg', expected none. Unpack it yourself")


@pytest.mark.parametrize("method", [9, 12, 14, 93])  # deflate64, bzip2, LZMA, Zstandard
def test_other_compressions_of_a_zip_are_refused(tmp_path, method):
    path = write_zip(tmp_path / "a.zip", {"1.jpg": b"1"})
    patch_headers(path, 8, method)
    refused(path, rf"'1.jpg' compressed by method {method}, expected one of {{0: 'stored', 8: 'def")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_cut_off_is_refused_wherever_it_is_cut(tmp_path, name):
    whole = write(tmp_path / name, {"a.jpg": os.urandom(700), "b.jpg": os.urandom(700)})
    content = whole.read_bytes()
    # A tar ends with zeros, of which the first block says that it is complete.
    end = 4 * 512 + 2 * 512 if name.endswith(".tar") else len(content)
    for length in {600, 1024, 1536, end - 1, end - 400} & set(range(end)):
        whole.write_bytes(content[:length])
        refused(whole, r"is damaged or not complete \(.+\)\. Download or copy it again")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_a_byte_that_changed_is_found(tmp_path, name):
    path = write(tmp_path / name, {"a.jpg": os.urandom(3000)})
    content = bytearray(path.read_bytes())
    content[1500] ^= 1
    path.write_bytes(content)
    refused(path, "is damaged or not complete")


def test_a_damaged_header_is_not_taken_for_the_end_of_a_tar(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2"})
    content = bytearray(path.read_bytes())
    content[1024] ^= 1
    path.write_bytes(content)
    refused(path, "it stops before its end")
    path.write_bytes(write_tar(path, {"a.jpg": b"1"}).read_bytes() * 2)
    refused(path, "something follows its end")


def test_a_page_that_was_downloaded_for_an_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_text("<!DOCTYPE html>")
    refused(tmp_path / "a.zip", "is no archive, as its name says: it begins with b'<!DOCTYPE")
    (tmp_path / "a.txt").write_text("x")
    refused(tmp_path / "a.txt", "is no archive. Expected .zip, .tar")
    with pytest.raises(FileNotFoundError, match=r"There is no archive '.*b.zip'. Check the path"):
        unpack(tmp_path / "b.zip")


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.tar.zst", "a.z01", "a.7z.001", "a.csv.gz"])
def test_archives_of_other_kinds_are_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"Rar!")
    assert not is_archive(tmp_path / name)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(ValueError, match=rf"{name}' is an archive of a kind.*Unpack it your"):
            refuse_foreign_archive(path)


def test_other_files_are_not_refused_as_archives(tmp_path):
    write_zip(tmp_path / "a.zip", MEMBERS)
    (tmp_path / "a.csv").touch()
    refuse_foreign_archive(tmp_path)
    refuse_foreign_archive(tmp_path / "a.csv")


@pytest.mark.parametrize("members", [{}, {".DS_Store": b"x"}])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_nothing_is_refused(tmp_path, kind, members):
    refused(write(tmp_path / f"a.{kind}", members), "holds no files that are not hidden")


@pytest.fixture
def small_allowance(monkeypatch):
    """Archives may unpack to 10,000 bytes, or to twice their size."""
    monkeypatch.setattr(archive_members, "_ALWAYS_ALLOWED_BYTES", 10_000)
    monkeypatch.setattr(archive_members, "_MOST_GROWTH", 2)


@pytest.mark.parametrize("name", NAMES)
def test_what_explodes_is_refused_before_it_is_written(tmp_path, small_allowance, name):
    members = {"a.jpg": bytes(6000), "b.jpg": bytes(6000)}
    if name == "a.tar":
        assert read(unpack(write(tmp_path / name, members))) == members  # it does not grow
    else:
        refused(
            write(tmp_path / name, members),
            "would unpack to too many bytes, as a zip bomb does. Expected at most 5,000,000 "
            "members, and 2 times the archive's size or 10,000 bytes. Unpack it yourself",
        )


def test_archives_in_archives_share_what_is_allowed(tmp_path, small_allowance):
    inner = pack({"a.jpg": bytes(6000)})
    path = write_zip(tmp_path / "a.zip", {"1.zip": inner, "2.zip": inner})
    refused(path, "in it '2.zip', would unpack to too many bytes")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_members, "_MOST_MEMBERS", 2)
    for kind in ("zip", "tar"):
        path = write(tmp_path / f"a.{kind}", dict.fromkeys("abc", b""))
        refused(path, "too many members.*at most 2 members")


@pytest.mark.parametrize("size", [1, 50_000])
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path, size):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": bytes(5000)})
    patch_headers(path, 22, size, "<I")
    refused(path, "is damaged or not complete|ends after 5000 bytes, expected 50000. Download")


def test_members_that_overlap_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": bytes(5000), "b.jpg": bytes(5000)})
    content = bytearray(path.read_bytes())
    second = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, second + 42, 0)
    path.write_bytes(content)
    refused(path, r"overlaps the next one\)")


@pytest.mark.parametrize("size", [b"77777777777\0", b"\xff" * 12])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_a_tar_cannot_make_us_read_a_huge_header_or_go_back(tmp_path, kind, size):
    info = tarfile.TarInfo("a.jpg")
    info.type = kind
    header = bytearray(info.tobuf())
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header + bytes(2048))
    refused(tmp_path / "a.tar", "damaged or not complete|would unpack to too many bytes")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_long_way_after_the_end_is_not_gone(tmp_path, small_allowance, compress):
    content = write_tar(tmp_path / "a.tar", {"a.jpg": b"1"}).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(compress(content + bytes(3_000_000)))
    refused(tmp_path / "b.tar.gz", "longer than its members")


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path, home, monkeypatch):
    def fill(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write_zip(tmp_path / "a.zip", MEMBERS)
    monkeypatch.setattr(archives, "_make_room", fill)
    with pytest.raises(OSError, match=r"disk is full.*cache folder") as caught:
        unpack(path)
    assert caught.value.errno == errno.ENOSPC
    assert [entry for entry in home.iterdir() if entry.suffix != ".lock"] == []
