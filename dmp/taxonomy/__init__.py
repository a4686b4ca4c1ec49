"""The tag tree, the base columns and the industry models."""

from dmp.taxonomy._errors import TagInvalid
from dmp.taxonomy.base import BaseTags, base_tags, load_columns
from dmp.taxonomy.industry import Model, Outcome, features, load_models, run
from dmp.taxonomy.tree import Node, NodeView, TagTree

__all__ = [
    "BaseTags",
    "Model",
    "Node",
    "NodeView",
    "Outcome",
    "TagInvalid",
    "TagTree",
    "base_tags",
    "features",
    "load_columns",
    "load_models",
    "run",
]
