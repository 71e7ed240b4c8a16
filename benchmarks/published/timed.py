"""``timed.py RULE COMMAND…``: run a command, and note what it took of the processors in ``seconds.jsonl``."""

import json
import resource
import subprocess
import sys

rule, *command = sys.argv[1:]
done = subprocess.run(command, check=False)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open("seconds.jsonl", "a") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
    file.write(json.dumps({"rule": rule, "cpu": used.ru_utime + used.ru_stime}) + "\n")
sys.exit(done.returncode)
