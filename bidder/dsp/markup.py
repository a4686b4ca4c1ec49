"""Markup, addresses and macros of a bid. What an advertiser gave is escaped; what we add is our own token.

No macro of a device or a person is ever expanded into markup: what leaves towards an advertiser is counted, not named.
"""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple
from xml.sax.saxutils import escape as xml_escape

import msgspec

from bidder.dsp.campaign import Creative, Format

_CLICK: Final = "\x00click\x00"
_PIXEL: Final = "\x00pixel\x00"


class Prepared(NamedTuple):
    """A creative's markup cut where the two addresses go, made once when campaigns are read."""

    parts: tuple[str, ...]  # alternating text and the name of an address


def prepare(creative: Creative) -> Prepared:
    """The template of ``creative``."""
    make = {Format.BANNER: _banner, Format.NATIVE: _native, Format.VIDEO: _vast, Format.AUDIO: _vast}
    return Prepared(tuple(make[creative.format](creative).split("\x00")))


def fill(prepared: Prepared, click: str, pixel: str) -> str:
    """The markup with both addresses, which are our own and need no escaping (base64url and / : ? = only)."""
    parts = list(prepared.parts)
    for i in range(1, len(parts), 2):
        parts[i] = click if parts[i] == "click" else pixel
    return "".join(parts)


def _banner(creative: Creative) -> str:
    if creative.markup:
        return creative.markup.replace("{click}", _CLICK).replace("{impression}", _PIXEL)
    image = escape(creative.image, quote=True)
    return (
        f'<a href="{_CLICK}" target="_blank"><img src="{image}" width="{creative.w}" height="{creative.h}" alt=""></a>'
        f'<img src="{_PIXEL}" width="1" height="1" alt="">'
    )


def _native(creative: Creative) -> str:
    """Native 1.2 response."""
    answer = {
        "native": {
            "ver": "1.2",
            "assets": [
                {"id": 1, "required": 1, "title": {"text": creative.title}},
                {"id": 2, "required": 1, "img": {"url": creative.image, "w": creative.w, "h": creative.h}},
            ],
            "link": {"url": "{click}"},
            "eventtrackers": [{"event": 1, "method": 1, "url": "{impression}"}],
        }
    }
    if creative.markup:
        return creative.markup.replace("{click}", _CLICK).replace("{impression}", _PIXEL)
    return msgspec.json.encode(answer).decode().replace("{click}", _CLICK).replace("{impression}", _PIXEL)


def _vast(creative: Creative) -> str:
    """VAST 4.2 with one linear creative."""
    if creative.markup:
        return creative.markup.replace("{click}", _CLICK).replace("{impression}", _PIXEL)
    hours, rest = divmod(creative.duration_s, 3600)
    duration = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    size = (
        f' width="{creative.w}" height="{creative.h}"' if creative.format is Format.VIDEO else ' width="0" height="0"'
    )
    return (
        f'<VAST version="4.2"><Ad id="{xml_escape(creative.id)}"><InLine><AdSystem>Sealbid</AdSystem>'
        f"<AdTitle>{xml_escape(creative.title or creative.id)}</AdTitle><Impression><![CDATA[{_PIXEL}]]></Impression>"
        f"<Creatives><Creative><Linear><Duration>{duration}</Duration><VideoClicks><ClickThrough><![CDATA[{_CLICK}]]>"
        f'</ClickThrough></VideoClicks><MediaFiles><MediaFile delivery="progressive" type="{xml_escape(creative.mime)}"'
        f"{size}><![CDATA[{creative.image}]]></MediaFile></MediaFiles></Linear></Creative></Creatives></InLine></Ad></VAST>"
    )
