"""`python -m benchmarks`: the comparison with torchvision, side_by_side.py."""

from benchmarks.side_by_side import main

main()
