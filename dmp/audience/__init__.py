"""Audiences: sealed ones opened, computed ones defined as data."""
