"""Strategies: rules of pCTR alone, and bidders that learn as they go."""
