"""A cycle as a folder: found, made, locked, measured, cleaned, and what its own flow says of it."""
