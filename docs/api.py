"""Write the reference of the public API from its docstrings: `python docs/api.py`.

It writes api.md beside itself. griffe reads the docstrings, griffe2md lays them out.
"""

import re
from importlib import import_module
from pathlib import Path

from griffe import GriffeLoader, Object, Parser
from griffe2md import render_object_docs

import fer_hf

ROOT = Path(__file__).parents[1]
_INTRODUCTION = """\
# The API

Written by `make docs` from the docstrings. Everything here is imported from `fer_hf`:

{links}

What is narrower lies one level down and is listed at the end.
"""
_CONFIG = {
    "annotations_path": "source",
    "inherited_members": False,
    "show_if_no_docstring": False,
    "show_object_full_path": False,
    "show_root_full_path": False,
    "show_root_members_full_path": False,
    "summary": False,
}


def render_api() -> str:
    """Render the reference as Markdown."""
    loader = GriffeLoader(
        docstring_parser=Parser.google,
        docstring_options={"returns_multiple_items": False},
        search_paths=[ROOT],
    )
    package = loader.load("fer_hf")
    loader.resolve_aliases()
    names = sorted(fer_hf.__all__)
    links = "\n".join(f"- [`{name}`](#{name.lower()})" for name in names)
    parts = [_INTRODUCTION.format(links=links)]
    parts += [_render(package[name].final_target) for name in names]
    parts.append("## Packages\n\n| package | imports |\n|---|---|")
    for name in sorted(package.modules):
        if public := getattr(import_module(f"fer_hf.{name}"), "__all__", None):
            parts[-1] += f"\n| `fer_hf.{name}` | {', '.join(f'`{item}`' for item in public)} |"
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _render(item: Object) -> str:
    text = render_object_docs(item, _CONFIG)
    # Types would link to headings that are not here.
    text = re.sub(r"\[([^\]]+)\]\(#[\w.]+\)", r"\1", text)
    return re.sub(r"</?code>", "`", text)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(render_api(), encoding="utf-8")
