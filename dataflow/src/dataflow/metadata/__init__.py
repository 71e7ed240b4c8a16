"""What the metadata say of a time: validity, channel maps, data sets, overrides, step configuration, expressions."""
