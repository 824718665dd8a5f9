"""A page to try the gateway's models in: three files of the package, and nothing from anywhere else."""
