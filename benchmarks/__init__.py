"""Benchmarks: each runnable alone, printing a table and, with --json, one JSON object."""
