"""Looking at what there is: figures and reports."""
