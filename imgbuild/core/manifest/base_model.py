"""What every model of the manifest is: frozen, strict, with known keys only, besides free `x-` ones."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


def without_extensions(data: Any) -> Any:
    """A mapping without its `x-` keys, which are free everywhere."""
    if isinstance(data, dict) and any(key.startswith("x-") for key in data):
        return {key: value for key, value in data.items() if not key.startswith("x-")}
    return data


class Model(BaseModel):
    """A mapping with known keys, besides those that begin with `x-`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _free_keys(cls, data: Any) -> Any:
        return without_extensions(data)
