"""What a production cycle runs: the plan, the tiers, the parameters, the jobs and the views."""
