"""From a name on the command line to a command: options and help, and the interpreter of the tools."""
