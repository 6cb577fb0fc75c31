"""A small FastAPI service, here to give the pipelines something real to do."""
