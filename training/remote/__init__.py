"""Files in buckets and on web servers: records, runs and exports at URLs."""
