"""Files behind web addresses, fetched within limits of time, size and redirects.

Nothing here is called unless a user allows it: whoever names an address decides what is fetched.
"""

import time
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_MAX_REDIRECTS = 3
_MAX_MEGABYTES = 20
_WAIT_SECONDS = 10.0  # for each step: the connection, the answer, the next piece of it
_FETCH_SECONDS = 60.0


def is_address(place: str) -> bool:
    """Return whether `place` is an http or https address."""
    return place.lower().startswith(("http://", "https://"))


def fetch(address: str) -> bytes:
    """Download a file of at most 20 MB, following at most three redirects.

    Raises:
        OSError: The answer is not a file, or exceeds the limits.
        httpx.HTTPError: There is no answer, or a redirect to something other than http or https.
        httpx.InvalidURL: The address cannot be understood.
    """
    import httpx  # takes as long as reading a file and scoring it

    # Uncompressed, so that the bytes that arrive are the bytes that count.
    headers = {"User-Agent": "fer-hf", "Accept-Encoding": "identity"}
    with httpx.Client(headers=headers, timeout=_WAIT_SECONDS) as client:
        request = client.build_request("GET", address)
        # By hand, because the client would read the body of each redirect, however long.
        for _ in range(1 + _MAX_REDIRECTS):
            with closing(client.send(request, stream=True)) as response:
                if response.next_request is None:
                    return _read_body(response)
                request = response.next_request
    raise OSError(f"more than {_MAX_REDIRECTS} redirects")


def _read_body(response: "httpx.Response") -> bytes:
    if not response.is_success:
        raise OSError(f"the server answers {response.status_code} {response.reason_phrase}")
    latest = time.monotonic() + _FETCH_SECONDS
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > _MAX_MEGABYTES * 1_000_000:
            raise OSError(f"more than {_MAX_MEGABYTES} MB")
        if time.monotonic() > latest:
            raise OSError(f"not complete after {_FETCH_SECONDS:.0f} seconds")
    return bytes(content)
