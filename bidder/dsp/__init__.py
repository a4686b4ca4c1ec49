"""The demand side: decides within milliseconds whether to bid, at what price, and never spends more than a budget."""
