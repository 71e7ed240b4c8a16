"""Whether LH5 files and records are whole; figures of two cycles' differences; JSON Schemas for editors."""
