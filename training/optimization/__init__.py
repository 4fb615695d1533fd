"""How weights learn: losses, schedule, optimizer, averages."""
