"""A plain parallel download of blobs through obstore, as a program: `python -m` this."""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.store import from_url

AT_ONCE = 32
"""Downloads in flight, as many as a build has."""

_SETTINGS = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def main() -> None:
    """Download what a file lists, a path a line, each into a file of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address", help="of a store, http or s3")
    parser.add_argument("paths", type=Path, help="a file with a path in the store a line")
    parser.add_argument("into", type=Path, help="a new folder")
    parser.add_argument("--sync", action="store_true", help="make each file durable")
    args = parser.parse_args()
    config = {name.lower(): os.environ[name] for name in _SETTINGS}
    config["aws_endpoint"] = os.environ["AWS_ENDPOINT_URL"]
    open_store: Any = from_url
    store = open_store(
        args.address,
        config=config if args.address.startswith("s3:") else None,
        client_options={"allow_http": True, "timeout": timedelta(hours=1)},
    )
    args.into.mkdir()

    def get(path: str) -> None:
        with (args.into / path.rpartition("/")[2]).open("xb") as file:
            for piece in store.get(path).stream(min_chunk_size=1 << 20):
                file.write(bytes(piece))
            if args.sync:
                file.flush()
                os.fsync(file.fileno())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(get, args.paths.read_text().split()))


if __name__ == "__main__":
    main()
