"""What all else stands on: errors, lists in sentences, times, and the reader of YAML and JSON files."""
