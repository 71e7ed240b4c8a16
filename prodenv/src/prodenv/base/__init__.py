"""What all of control stands on: errors, files, processes, sources, the site configuration, tables."""
