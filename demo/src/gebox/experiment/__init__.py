"""What the simulated experiment is: detectors, their true constants, runs and files, all derived from one seed."""

from gebox.experiment.build import Experiment, build, load, save

__all__ = ["Experiment", "build", "load", "save"]
