"""What the page says when a request cannot be served: one line, never a traceback."""

import functools
import inspect
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, TypeVar, cast

import gradio as gr
from PIL import UnidentifiedImageError

logger = logging.getLogger(__name__)

SOMETHING_WENT_WRONG = "Something went wrong here, and was logged. The next request works again."

_Function = TypeVar("_Function", bound=Callable[..., Any])


def show_errors(function: _Function) -> _Function:
    """Make what a function of the page raises a message in the browser.

    ValueErrors and OSErrors of our own are written for people and shown unchanged, and so is a
    `gr.Error`. Of anything else the visitor learns only that it happened; the log has the
    traceback, and no picture. Signature and docstring stay: Gradio describes the API by them.

    Args:
        function: Plain or a generator.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with _errors_shown(function.__name__):
                yield from function(*args, **kwargs)

        return cast(_Function, generate)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _errors_shown(function.__name__):
            return function(*args, **kwargs)

    return cast(_Function, call)


@contextmanager
def _errors_shown(name: str) -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        if _is_for_people(error):
            message = " ".join(str(error).split())
        else:
            logger.exception("%s failed", name)
            message = SOMETHING_WENT_WRONG
        # The browser takes the message for HTML.
        raise gr.Error(escape(message, quote=False), print_exception=False) from None


def _is_for_people(error: Exception) -> bool:
    """Return whether we wrote the message; those of Pillow and the system name server paths."""
    if isinstance(error, OSError):
        return error.errno is None and not isinstance(error, UnidentifiedImageError)
    return isinstance(error, ValueError)
