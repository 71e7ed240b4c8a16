"""Control: environments, production cycles, their software and their containers."""
