"""From energy depositions to digitised traces."""
