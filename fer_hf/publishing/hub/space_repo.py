"""The demo as a Space: the folder of the app, unchanged, and a variable for the model it opens."""

from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

from fer_hf.publishing.hub.commits import Pushed, call_hub, commit_files

_NEEDED = ("app.py", "README.md", "requirements.txt")
_PACKAGE = Path(__file__).parents[2]
_PLACES = (_PACKAGE / "app", _PACKAGE.parent / "app")


def find_app(app_dir: str | None = None) -> Path:
    """Find the folder of the demo: the one given, or the one in the package or beside it.

    Raises:
        FileNotFoundError: There is none, or it lacks a file that a Space needs.
        ValueError: Its README.md is not that of a Gradio Space.
    """
    places = (Path(app_dir),) if app_dir else _PLACES
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(
            f"Found no folder {str(places[-1])!r} with the demo, expected {', '.join(_NEEDED)} in "
            "it. Give it with --app, or push without --space."
        )
    if missing := [name for name in _NEEDED if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"{str(folder)!r} lacks {', '.join(missing)}, expected a whole Space. Add what is "
            "missing, or give another folder with --app."
        )
    if _load_card(folder).data.get("sdk") != "gradio":
        raise ValueError(
            f"README.md in {str(folder)!r} does not say `sdk: gradio` between two lines of ---, "
            "expected the front matter of a Space. Add it."
        )
    return folder


def push_space(
    app_dir: Path, repo_id: str, model_id: str, *, private: bool = False, with_torch: bool = False
) -> Pushed:
    """Publish the demo by one commit, with the variable `MODEL_ID` set to the model it opens.

    Args:
        app_dir: What `find_app` found.
        repo_id: `namespace/name` of the Space.
        model_id: The model's.
        private: Make the Space private.
        with_torch: Have the Space install torch, for a model that has no graph.

    Raises:
        ValueError: A file holds a token.
        OSError: As `commit_files`.
    """
    contents: dict[str, Path | bytes] = {}
    for file in sorted(app_dir.rglob("*")):
        path = file.relative_to(app_dir)
        is_hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
        if file.is_file() and not is_hidden:
            contents[path.as_posix()] = file
    if with_torch:
        needs = (app_dir / "requirements.txt").read_text(encoding="utf-8")
        contents["requirements.txt"] = needs.replace("fer-hf[demo]", "fer-hf[all]").encode()
    card = _load_card(app_dir)
    card.data["models"] = [model_id]
    contents["README.md"] = str(card).encode()
    message = f"Upload the demo of {model_id}"
    pushed = commit_files(repo_id, contents, message=message, repo_type="space", private=private)
    call_hub(lambda: HfApi().add_space_variable(repo_id, "MODEL_ID", model_id))
    return pushed


def _load_card(folder: Path) -> SpaceCard:
    return SpaceCard((folder / "README.md").read_text(encoding="utf-8"))
