"""What the page gets: markup with its tracking, the script that asks for it, and the files that say who may sell. Pure.

The answer to the page carries no price. Markup of a bidder is foreign code: the script puts it into a sandboxed frame
of its own, never into the page.
"""

from __future__ import annotations

import html
import json
from typing import Final

from bidder.openrtb import Bid
from bidder.ssp.config import SlotConfig, SspConfig

SANDBOX: Final = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
"""The ad may run and open its landing page; it may not read the page, its cookies or its storage."""


def filled(slot: SlotConfig, bid: Bid, seen_url: str) -> dict[str, object]:
    """The answer for a sold slot: size, markup and the pixel that reports it as shown."""
    w, h = (bid.w, bid.h) if bid.w and bid.h else slot.sizes[0]
    pixel = f'<img src="{html.escape(seen_url, quote=True)}" width="1" height="1" alt="" style="position:absolute">'
    return {"slot": slot.id, "fill": True, "w": w, "h": h, "html": document(f"{pixel}{bid.adm}")}


def unfilled(slot: SlotConfig) -> dict[str, object]:
    """The answer when nobody bids: the passback, if there is one."""
    w, h = slot.sizes[0]
    return {"slot": slot.id, "fill": False, "w": w, "h": h, "html": document(slot.passback) if slot.passback else ""}


def document(markup: str) -> str:
    """Markup as a page of its own for the frame."""
    return (
        '<!doctype html><html><head><meta charset="utf-8"><base target="_blank">'
        "<style>html,body{margin:0;padding:0;overflow:hidden}</style></head><body>" + markup + "</body></html>"
    )


def script(config: SspConfig) -> str:
    """tag.js: fills every element with a data-sealbid-slot attribute; ``window.sealbid`` may hold consent and ids."""
    return _SCRIPT.replace("__URL__", json.dumps(config.public_url)).replace("__SANDBOX__", json.dumps(SANDBOX))


_SCRIPT: Final = """(function () {
  "use strict";
  var url = __URL__, sandbox = __SANDBOX__, said = window.sealbid || {};
  function show(box, ad) {
    if (!ad.html) { return; }
    var frame = document.createElement("iframe");
    frame.setAttribute("sandbox", sandbox);
    frame.width = ad.w; frame.height = ad.h;
    frame.style.border = "0";
    frame.srcdoc = ad.html;
    box.textContent = "";
    box.appendChild(frame);
    box.setAttribute("data-sealbid-filled", ad.fill ? "yes" : "no");
  }
  function ask(box) {
    var visit = {slot: box.getAttribute("data-sealbid-slot"), page: location.href, referrer: document.referrer,
                 language: navigator.language || "", width: screen.width, height: screen.height,
                 consent: said.consent || {}, ids: said.ids || {}};
    fetch(url + "/ad", {method: "POST", body: JSON.stringify(visit), credentials: "omit",
                        headers: {"Content-Type": "text/plain"}})
      .then(function (reply) { return reply.ok ? reply.json() : null; })
      .then(function (ad) { if (ad) { show(box, ad); } })
      .catch(function () { box.setAttribute("data-sealbid-filled", "error"); });
  }
  Array.prototype.forEach.call(document.querySelectorAll("[data-sealbid-slot]"), ask);
})();
"""


def ads_txt(config: SspConfig) -> str:
    """ads.txt (IAB Tech Lab 1.1): the systems that may sell this inventory."""
    lines = [f"{e.domain}, {e.account}, {e.relationship}" for e in config.exchanges]
    return "\n".join([*lines, f"OWNERDOMAIN={config.seller.domain}"]) + "\n"


def sellers_json(config: SspConfig) -> dict[str, object]:
    """sellers.json (IAB Tech Lab 1.0): whose inventory is sold here."""
    seller = config.seller
    entry = {"seller_id": seller.id, "name": seller.name, "domain": seller.domain, "seller_type": seller.seller_type}
    head: dict[str, object] = {"contact_email": seller.contact} if seller.contact else {}
    return {**head, "version": "1.0", "sellers": [entry]}
