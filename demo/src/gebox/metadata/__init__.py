"""The metadata tree of the experiment, in the collaboration's layout."""

from gebox.metadata.tree import write_tree

__all__ = ["write_tree"]
