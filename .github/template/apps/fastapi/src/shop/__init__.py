"""A small app: FastAPI, and nothing else."""
