"""A cycle as one tar file: written, and taken in with every file compared."""
