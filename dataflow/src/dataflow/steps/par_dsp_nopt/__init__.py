"""Filter times of least noise, from forced triggers."""
