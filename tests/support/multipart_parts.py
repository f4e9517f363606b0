"""Takes a multipart body apart (RFC 2046 5.1), for the servers of the tests."""


def parts_of(body: bytes, boundary: str) -> list[bytes]:
    """Return the contents of the parts, without their headers."""
    parts = body.split(b"--" + boundary.encode())[1:-1]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]
