"""The model: experts who learn at different paces, each heard as far as it was right of late."""

import json
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from controlplane.mev.landing import prior
from controlplane.mev.landing.expert import Expert, Foretold, Pace, state_size
from controlplane.mev.landing.features import Context, Floats, crowd_ramps, known
from controlplane.mev.landing.hunters import SLOTS
from controlplane.mev.tips import Floor

VERSION = 2
_MAGIC = b"SWLM"
_HEAD = struct.Struct(">4sHIII")
_MOST_BYTES = 4 * 1024 * 1024
# Two-sided 90 %.
_Z = 1.6448536269514722
# A steady one, one that forgets within some hundreds of outcomes, and one that forgets within some dozens.
PACES = (
    Pace(),
    Pace(crowd_noise=3e-4, ceiling_noise=1e-5, gives_way=2e-3, shift_noise=1e-3),
    Pace(level_noise=0.05, crowd_noise=2e-3, ceiling_noise=1e-4, gives_way=2e-2, shift_noise=4e-3),
)
# Share of the ear given to each that is shared out anew, so that who was wrong for long may be heard again.
_SHARED_OUT = 0.0005


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is foretold of one tip.

    Attributes:
        chance: to land, 0 to 1.
        low: the lower end of its interval of 90 %.
        high: the upper one.
        ceiling: the chance that no tip exceeds.
        crowd: rivals expected above the tip, of those behind the percentiles.
        hunters: rivals expected above the tip, of those after the same profit.
    """

    chance: float
    low: float
    high: float
    ceiling: float
    crowd: float
    hunters: float


class Model:
    """Foretells whether bundles land, and learns from those that did and did not. Deterministic; no clock."""

    def __init__(self) -> None:
        mean, spread = np.array(prior.MEAN), np.array(prior.SPREAD)
        self._experts = [Expert(pace, mean, spread) for pace in PACES]
        self._heard = np.full(len(PACES), 1 / len(PACES))
        self._slots: dict[str, int] = {}
        self.learnt = 0

    def chances(self, context: Context, floor: Floor, tips: Floats) -> Floats:
        """Foretell the chance to land of each tip, in lamports from 1,000; never falling with the tip."""
        return self._mixed(self._foretold(context, floor, tips))[0]

    def forecast(self, context: Context, floor: Floor, tip: float) -> Forecast:
        """Foretell of one tip, with how unsure that is and what it is made of."""
        told = self._foretold(context, floor, np.array([float(tip)]))
        (chance,), (deviation,) = (found.tolist() for found in self._mixed(told))
        low, high = max(0.0, chance - _Z * deviation), min(1.0, chance + _Z * deviation)
        heard = list(zip(self._heard.tolist(), told, strict=True))
        return Forecast(
            chance, low, high,
            ceiling=sum(weight * found.ceiling for weight, found in heard),
            crowd=sum(weight * float(found.crowd[0]) for weight, found in heard),
            hunters=-math.log(max(1e-9, sum(weight * float(found.alone[0]) for weight, found in heard))),
        )  # fmt: skip

    def learn(self, context: Context, floor: Floor, tip: int, landed: bool) -> None:
        """Learn that a bundle with this tip landed, or did not; never call it for what is not known."""
        told, slot = known(context, floor), self._slot(context.strategy, keep=True)
        chances = np.array([expert.learn(slot, told, float(tip), landed) for expert in self._experts])
        # Every expert foretold the same outcomes, each before it learnt them: their log losses may be compared.
        bounded = np.clip(chances, 1e-3, 1 - 1e-3)
        heard = self._heard * (bounded if landed else 1 - bounded)
        self._heard = (1 - _SHARED_OUT) * heard / heard.sum() + _SHARED_OUT / len(PACES)
        self.learnt += 1

    def save(self) -> bytes:
        """Give everything that was learnt, as bytes that `load` takes."""
        head = json.dumps({"strategies": list(self._slots), "learnt": self.learnt}).encode()
        numbers = np.concatenate([self._heard, *(expert.state(len(self._slots) + 1) for expert in self._experts)])
        body = numbers.astype(">f8").tobytes()
        return _HEAD.pack(_MAGIC, VERSION, len(head), len(body), zlib.crc32(head + body)) + head + body

    def load(self, saved: bytes) -> None:
        """Take up what `save` gave; what was learnt here before is replaced.

        Raises: ValueError, which says what is wrong with the bytes; nothing has changed then.
        """
        head, numbers = _opened(saved)
        names, learnt = _checked(head)
        fresh = Model()
        each = state_size(len(names) + 1)
        if len(numbers) != len(PACES) * (1 + each):
            raise ValueError("model: not as many numbers as its strategies need")
        heard = numbers[: len(PACES)]
        if not np.all(np.isfinite(numbers)) or np.any(heard < 0) or not math.isclose(heard.sum(), 1, abs_tol=1e-6):
            raise ValueError("model: numbers that no model has")
        for place, expert in enumerate(fresh._experts):
            expert.restore(len(names) + 1, numbers[len(PACES) + place * each :][:each])
        self._experts, self._heard, self.learnt = fresh._experts, heard, learnt
        self._slots = {name: place + 1 for place, name in enumerate(names)}

    def _foretold(self, context: Context, floor: Floor, tips: Floats) -> list[Foretold]:
        """Give what each expert foretells."""
        told, slot = known(context, floor), self._slot(context.strategy)
        ramps = crowd_ramps(tips, told)
        return [expert.foretell(slot, told, tips, ramps) for expert in self._experts]

    def _mixed(self, found: list[Foretold]) -> tuple[Floats, Floats]:
        """Give the chances over all experts as they are heard, and their standard deviations."""
        chances = np.array([one.chance for one in found])
        variances = np.array([one.variance for one in found])
        chance = self._heard @ chances
        return chance, np.sqrt(self._heard @ (variances + (chances - chance) ** 2))

    def knows(self, strategy: str) -> bool:
        """Whether an outcome of a strategy was learnt from."""
        return strategy in self._slots

    def _slot(self, strategy: str, *, keep: bool = False) -> int:
        """Give the place of a strategy; what has none, having come late or never, shares the first."""
        if strategy not in self._slots and len(self._slots) < SLOTS - 1:
            if not keep:
                return len(self._slots) + 1
            self._slots[strategy] = len(self._slots) + 1
        return self._slots.get(strategy, 0)


def _opened(saved: bytes) -> tuple[dict[str, Any], Floats]:
    if not _HEAD.size <= len(saved) <= _MOST_BYTES:
        raise ValueError(f"model: {len(saved)} bytes, of {_HEAD.size} to {_MOST_BYTES}")
    magic, version, first, second, check = _HEAD.unpack_from(saved)
    if magic != _MAGIC:
        raise ValueError("model: not the bytes of a saved model")
    if version != VERSION:
        raise ValueError(f"model: of version {version}; this is version {VERSION}")
    rest = saved[_HEAD.size :]
    if len(rest) != first + second or second % 8 or zlib.crc32(rest) != check:
        raise ValueError("model: bytes are missing or changed")
    try:
        head = json.loads(rest[:first])
    except (ValueError, RecursionError):
        raise ValueError("model: a head that is no JSON") from None
    if not isinstance(head, dict):
        raise ValueError("model: a head that is no object")
    return head, np.frombuffer(rest[first:], dtype=">f8").astype(np.float64)


def _checked(head: dict[str, Any]) -> tuple[list[str], int]:
    names, learnt = head.get("strategies"), head.get("learnt")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError("model: no list of strategies")
    if len(names) >= SLOTS:
        raise ValueError(f"model: {len(names)} strategies; there is room for {SLOTS - 1}")
    if not isinstance(learnt, int) or learnt < 0:
        raise ValueError("model: no count of what was learnt")
    return names, learnt
