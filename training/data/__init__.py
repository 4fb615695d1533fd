"""Video and its labels: files, data sets, clips, and how they reach the network."""
