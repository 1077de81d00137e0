"""Answers are shown once or kept live: lines for programs, a view for people, and a word where there is nothing."""

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from solward.jito.v1 import jito_pb2 as pb

from ctl import live, patience
from ctl.client import Client
from ctl.output import Form, table_of

HEADINGS = ("REGION", "RANK")


def draw(found: list[pb.Region]) -> Any:
    return table_of(found, HEADINGS, lambda one: (one.region, str(one.rank)))


class Asked:
    """Gives one answer after the other, then is cancelled as by Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers = list(answers)
        monkeypatch.setattr(live, "LOOK_S", 0.0)
        monkeypatch.setattr(live, "run", self.run)

    async def __call__(self, _: Client | None) -> Any:
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, grpc.aio.AioRpcError):
            raise answer
        return answer

    def run(self, _: str | None, work: Any) -> Any:
        async def whole() -> Any:
            return await work(None)

        try:
            return asyncio.run(whole())
        except asyncio.CancelledError:
            return None


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_view_is_asked_for_again(
    form: Form, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(
        monkeypatch, [pb.Region(region="ny", rank=1)], [pb.Region(region="slc", rank=1), pb.Region(region="ny", rank=2)]
    )
    live.show(None, asked, draw, form, watch=True, nothing="")
    out = capsys.readouterr().out
    assert not asked.answers
    if form == "json":
        assert [json.loads(line)["region"] for line in out.splitlines()] == ["ny", "slc", "ny"]
    else:
        assert out.index("REGION") < out.index("slc")


def test_an_empty_list_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    live.show(None, Asked(monkeypatch, []), draw, "json", watch=False, nothing="agents tell of regions")
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ([], "nothing found: agents tell of regions\n")


def test_a_message_is_shown_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    live.show(None, Asked(monkeypatch, pb.Tips(source="poll")), lambda found: found.source, "json", watch=False)
    assert json.loads(capsys.readouterr().out)["source"] == "poll"


def failed(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "failed")


def test_a_control_plane_that_goes_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "WAIT_S", 0.0)
    away = failed(grpc.StatusCode.UNAVAILABLE)
    asked = Asked(monkeypatch, pb.Tips(source="poll"), away, away, pb.Tips(source="stream"))
    live.show(None, asked, lambda found: found.source, "json", watch=True)
    said = capsys.readouterr()
    assert [json.loads(line)["source"] for line in said.out.splitlines()] == ["poll", "stream"]
    assert said.err == (
        "the control plane went away; waiting until it answers again\nthe control plane answers again\n"
    )


@pytest.mark.parametrize(
    "before",
    [[failed(grpc.StatusCode.UNAVAILABLE)], [pb.Tips(), failed(grpc.StatusCode.PERMISSION_DENIED)]],
    ids=["never there", "refuses"],
)
def test_what_is_not_to_be_waited_for_ends_the_view(before: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        live.show(None, Asked(monkeypatch, *before), lambda found: found.source, "json", watch=True)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAIT_S", 0.0)
    monkeypatch.setattr(patience, "GIVE_UP_S", 0.02)
    away = failed(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(grpc.aio.AioRpcError):
        live.show(None, Asked(monkeypatch, pb.Tips(), *[away] * 100_000), lambda one: one.source, "json", watch=True)
