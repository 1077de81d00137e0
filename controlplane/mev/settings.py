"""Settings of MEV."""

from typing import Annotated, Literal

import yarl
from pydantic import BaseModel, Field, field_validator

Seconds = Annotated[float, Field(ge=1, le=3600)]


class JitoSettings(BaseModel, extra="forbid"):
    """Which cluster bundles are for, and where tips are told."""

    # Bundles must tip an account of this cluster.
    cluster: Literal["mainnet", "testnet"] = "mainnet"
    # Where the tips that landed are told, https://bundles.jito.wtf/api/v1/bundles/tip_floor on mainnet; empty: nowhere.
    tip_floor_url: str = ""
    # How often it is asked.
    tip_floor_seconds: Seconds = 10.0

    @field_validator("tip_floor_url")
    @classmethod
    def _http(cls, text: str) -> str:
        try:
            url = yarl.URL(text)
        except ValueError:
            raise ValueError("must be an http or https URL") from None
        if text and (url.scheme not in ("http", "https") or not url.host):
            raise ValueError("must be an http or https URL")
        return text
