# A rule without output for each .gen target of the command line: its files are made, no marker is left behind.

try:
    wanted = flow.targets(sys.argv[1:])
    to_make = flow.to_make(sys.argv[1:])
except UserError as error:
    stop(error)


for target in wanted:

    rule:
        name:
            target.text
        input:
            flow.files(target),
