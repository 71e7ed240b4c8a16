# A rule without output for each .gen target of the command line: its files are made, no marker is left behind.

import gc

gc.disable()  # all that is planned stays until the end: looking for garbage in it takes a fifth of the time
try:
    wanted = flow.targets(sys.argv[1:])
    to_make = frozenset() if flow.planned else flow.to_make(sys.argv[1:], workflow.resource_settings.cores or 2, begin_forks)
except UserError as error:
    stop(error)
gc.freeze()  # and is not looked at again later
gc.enable()


def files(target):
    """The input function of a target."""
    return lambda wildcards: flow.files(target, to_make if is_narrow() else None)


for target in wanted:

    rule:
        name:
            target.text
        input:
            files(target),


# Of detectors that could not be done, or are not in the data, Snakemake knows nothing: jobs wrote them down. Where it
# has nothing to do, it calls neither of these.

if is_listening() and not to_make:
    flow.last_words(sys.argv[1:])


onsuccess:
    flow.last_words(sys.argv[1:])


onerror:
    flow.last_words(sys.argv[1:])
