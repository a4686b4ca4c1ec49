"""The bidder: OpenRTB, DSP, exchange, supply side, replay laboratory."""
