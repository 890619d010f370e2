"""A shared cache in an object store or a folder: `s3://`, `gs://`, `az://` and `file://`, through obstore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from imgbuild.core.errors import UsageError
from imgbuild.store.remote.base import MAX_RECORD, WrongBytesError, checked_name, unreachable

LAYOUT = "imgbuild-1"
"""The folder below the prefix. Another layout of the objects would have another one."""
_CHUNK = 1 << 20
_PREFIXES = {"s3": ("AWS_",), "gs": ("GOOGLE_",), "az": ("AZURE_",)}
"""The environment's variables that each kind of store is set up by."""


class ObjectRemote:
    """A shared cache below the prefix of a bucket, container or folder."""

    def __init__(self, address: str, variables: Mapping[str, str], timeout: float) -> None:
        """`variables` set the store up, as its own tools would be (AWS_REGION, ...). `timeout`: seconds.

        Raises UsageError where obstore is not installed, or the store cannot be set up.
        """
        try:
            import obstore
        except ImportError:
            raise UsageError(
                f"cache.remote {address} needs the package obstore",
                remedy="pip install 'imgbuild[remote]'",
            ) from None
        self._obstore: Any = obstore
        self._exceptions: Any = obstore.exceptions
        self._address = address
        kind = urlsplit(address).scheme
        self._secrets = tuple(
            value
            for name, value in variables.items()
            if name.startswith(_PREFIXES.get(kind, ("\0",))) and ("KEY" in name or "TOKEN" in name)
        )
        self._store = self._open(kind, variables, timeout)

    def read_blob(self, digest: str, take: Callable[[bytes], None]) -> bool:
        """Hand a blob's bytes to `take` as they arrive."""
        with self._errors():
            try:
                result = self._store.get(_blob(digest))
                for chunk in result.stream(min_chunk_size=_CHUNK):
                    take(bytes(chunk))
            except FileNotFoundError:
                return False
        return True

    def has_blob(self, digest: str) -> bool:
        """Whether there is such a blob."""
        with self._errors():
            try:
                self._store.head(_blob(digest))
            except FileNotFoundError:
                return False
        return True

    def write_blob(self, digest: str, path: Path) -> bool:
        """Store a blob from a file. False: it is there already."""
        if self.has_blob(digest):
            return False
        with self._errors():
            self._store.put(_blob(digest), path)
        return True

    def read_record(self, scope: str, name: str) -> bytes | None:
        """A record; None if there is none."""
        with self._errors():
            try:
                result = self._store.get(_record(scope, name))
                if result.meta["size"] > MAX_RECORD:
                    raise WrongBytesError(f"the shared cache has a record of {result.meta['size']} bytes")
                return bytes(result.bytes())
            except FileNotFoundError:
                return None

    def write_record(self, scope: str, name: str, data: bytes, blobs: Mapping[str, int]) -> None:
        """Store a record in place of an older one."""
        with self._errors():
            self._store.put(_record(scope, name), data)

    def create_record(self, scope: str, name: str, data: bytes) -> bool:
        """Store a record only if there is none: a conditional put, a hard link in a folder."""
        with self._errors():
            try:
                self._store.put(_record(scope, name), data, mode="create")
            except (self._exceptions.AlreadyExistsError, self._exceptions.PreconditionError):
                return False
        return True

    def delete_record(self, scope: str, name: str) -> None:
        """Remove a record, if it is there."""
        with self._errors():
            try:
                self._store.delete(_record(scope, name))
            except FileNotFoundError:
                return

    def close(self) -> None:
        """obstore lets go of its connections by itself."""

    def _open(self, kind: str, variables: Mapping[str, str], timeout: float) -> Any:
        try:
            if kind == "file":
                return self._open_folder()
            from obstore.store import from_url

            config = {
                name.lower(): value
                for name, value in variables.items()
                if name.startswith(_PREFIXES[kind]) and value
            }
            endpoint = config.pop("aws_endpoint_url_s3", None) or config.pop("aws_endpoint_url", None)
            if endpoint:
                config["aws_endpoint"] = endpoint
            plain = config.get("aws_endpoint", "").startswith("http://")
            known = {name: value for name, value in config.items() if name in _SETTINGS}
            open_store: Any = from_url
            return open_store(
                self._address,
                config=known,
                client_options={
                    "allow_http": plain or config.get("aws_allow_http") == "true",
                    "connect_timeout": timedelta(seconds=min(timeout, 5.0)),
                    "read_timeout": timedelta(seconds=timeout),
                    "timeout": timedelta(hours=1),
                },
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=timeout)},
            )
        except (self._exceptions.BaseError, OSError, ValueError) as error:
            problem = unreachable(self._address, error, self._secrets)
            raise UsageError(problem.message, remedy="see the settings of such a store") from None

    def _open_folder(self) -> Any:
        from obstore.store import LocalStore

        parts = urlsplit(self._address)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise UsageError(
                f"cache.remote {self._address} is no absolute path", remedy="write file:///folder"
            )
        return LocalStore(unquote(parts.path), mkdir=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._exceptions.BaseError as error:
            raise unreachable(self._address, error, self._secrets) from None
        except OSError as error:
            raise unreachable(self._address, error, self._secrets) from None


_SETTINGS = frozenset(
    {
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region"),
        *("aws_default_region", "aws_endpoint", "aws_skip_signature", "aws_virtual_hosted_style_request"),
        *("aws_web_identity_token_file", "aws_role_arn", "aws_role_session_name"),
        *("aws_container_credentials_relative_uri", "aws_container_credentials_full_uri"),
        *("aws_container_authorization_token_file", "aws_conditional_put", "aws_checksum_algorithm"),
        *("google_service_account", "google_service_account_path", "google_service_account_key"),
        *("google_application_credentials", "google_skip_signature"),
        *("azure_storage_account_name", "azure_storage_account_key", "azure_storage_sas_token"),
        *("azure_storage_client_id", "azure_storage_client_secret", "azure_storage_tenant_id"),
        *("azure_storage_endpoint", "azure_federated_token_file", "azure_skip_signature"),
    }
)


def _blob(digest: str) -> str:
    return f"{LAYOUT}/blobs/{digest[:2]}/{digest}"


def _record(scope: str, name: str) -> str:
    return f"{LAYOUT}/{scope}/{checked_name(name)}.json"
