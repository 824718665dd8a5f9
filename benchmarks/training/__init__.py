"""What `benchmarks/train.py` runs, a process for each contestant: `python -m benchmarks.training.NAME --tokens DIR`."""
