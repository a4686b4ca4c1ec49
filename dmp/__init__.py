"""The data management platform: ingest, tags, audiences, identity graph, profiles."""
