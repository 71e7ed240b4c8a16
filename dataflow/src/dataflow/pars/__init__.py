"""One module a calibration step: arrays and a typed configuration in, a result out."""
