# A job that fails leaves the earlier output where it is.
#
# Snakemake removes the outputs of a job before it begins, and again when it has failed; of outputs flagged `update` it
# makes a copy first, of any size, and restores that. Our jobs put an output in its place when it is complete, so what
# stands there is always whole: neither is needed. But what Snakemake noted about the failed job has to go: it would take
# the earlier output for the one that was wanted. (tests/workflow/test_kept.py tells when Snakemake has changed.)

from snakemake.jobs import Job
from snakemake.persistence import FileBackupMixin

clean_up = Job.cleanup


async def clean_up_and_forget(job, *which):
    """Remove the outputs of a failed job but those to be kept, and what is noted about all of them."""
    await clean_up(job, *which)
    job.dag.workflow.persistence.cleanup(job)


Job.cleanup = clean_up_and_forget
FileBackupMixin.backup_output = lambda persistence, path: None
FileBackupMixin.restore_output = lambda persistence, path: path.exists()
