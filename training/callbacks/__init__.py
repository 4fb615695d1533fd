"""What is told of a run and kept of it while it trains, as keras.callbacks."""
