"""What `bench/serving.py` measures: the models, the servers, the load."""
