"""The support vector machine that labels traces, from labelled ones."""
