"""RTA: a media's question before its auction, answered by DMP profile and frequency."""

from __future__ import annotations

from bidder.rta.config import RtaConfig, StrategyConfig
from bidder.rta.decide import Answer, Caps, Decider, Question, Slot
from bidder.rta.server import Rta, serve

__all__ = ["Answer", "Caps", "Decider", "Question", "Rta", "RtaConfig", "Slot", "StrategyConfig", "serve"]
