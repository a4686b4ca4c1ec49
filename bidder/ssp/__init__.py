"""The supply side: ad slots of pages and apps, offered to exchanges."""

from __future__ import annotations

from bidder.ssp.config import SspConfig
from bidder.ssp.server import Ssp, serve

__all__ = ["Ssp", "SspConfig", "serve"]
