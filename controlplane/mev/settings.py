"""Settings of MEV."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from controlplane.urls import http_url, websocket_url

Seconds = Annotated[float, Field(ge=1, le=3600)]


class JitoSettings(BaseModel, extra="forbid"):
    """Which cluster bundles are for, and where tips are told."""

    # Bundles must tip an account of this cluster.
    cluster: Literal["mainnet", "testnet"] = "mainnet"
    # Where the tips that landed are told, https://bundles.jito.wtf/api/v1/bundles/tip_floor on mainnet; empty: nowhere.
    tip_floor_url: str = ""
    # Where they are streamed, wss://bundles.jito.wtf/api/v1/bundles/tip_stream on mainnet; empty: nowhere.
    tip_stream_url: str = ""
    # How often tip_floor_url is asked, while the stream is silent or not set.
    tip_floor_seconds: Seconds = 10.0

    @field_validator("tip_floor_url")
    @classmethod
    def _http(cls, text: str) -> str:
        if text:
            http_url(text)
        return text

    @field_validator("tip_stream_url")
    @classmethod
    def _websocket(cls, text: str) -> str:
        if text:
            websocket_url(text)
        return text
