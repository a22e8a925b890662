"""What is damaged, absurd or meant to harm is refused in one line, or read as it should be."""

import os
import re
import resource

import numpy as np
import pytest
from hostile_files import CORPUS

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.data.pictures import to_rgb
from fer_hf.data.stored_pictures import list_stored

MOST_GROWTH_KB = 600_000

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def read_labels(splits, keys):
    """Return the label, split and RGB of each picture, by the end of its path or by its grey."""
    found = {}
    for split, rows in splits.items():
        names = rows.features["label"].names
        for stored, row in zip(list_stored(rows), rows, strict=True):
            rgb = to_rgb(row["image"])
            path = stored["path"] or str(rgb.getpixel((0, 0))[0])
            key = max((k for k in keys if f"/{path}".endswith(f"/{k}")), key=len, default=path)
            assert key not in found, f"{key} is read twice"
            found[key] = names[row["label"]], split, rgb
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_source_is_refused_in_one_line_or_read_as_it_should_be(name, tmp_path, capsys):
    case = CORPUS[name]
    if "may not be read" in name and os.geteuid() == 0:
        pytest.skip("root may read everything")
    root = tmp_path / "source"
    root.mkdir()
    source = case.write(root) or root
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flags = [
        word
        for flag, value in case.options.items()
        for word in (f"--{flag}", *([value] if isinstance(value, str) else map(str, value)))
    ]
    status = cli.main([*(word.format(source) for word in case.call), *flags])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert grown < MOST_GROWTH_KB
    lines = [line for line in shown.err.splitlines() if line.startswith("fer-hf: error:")]
    if case.refused:
        assert status in (1, 2), shown.out
        assert len(lines) == 1
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", lines[0])
        for part in case.refused:
            assert part in lines[0]
        return
    assert (status, lines) == (0, [])
    if case.shows:
        assert all(part in shown.out for part in case.shows)
        return
    found = read_labels(load_splits(source, **case.options), case.labels)
    assert {key: label for key, (label, _, _) in found.items()} == dict(case.labels)
    for key, split in case.splits.items():
        assert found[key][1] == split
    if case.looks is not None:
        key, size, colour = case.looks
        rgb = found[key][2]
        assert rgb.size == size
        if colour:
            assert np.asarray(rgb).mean((0, 1)) == pytest.approx(colour, abs=4)


def test_the_corpus_is_large():
    assert len(CORPUS) >= 150
