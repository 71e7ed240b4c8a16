"""The steps, a folder each: what it is made from (`step`), how (`build`), and its settings, figures and defaults."""
