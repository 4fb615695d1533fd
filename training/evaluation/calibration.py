"""Whether a network's probabilities mean what they say."""

import numpy as np

# Guo et al. 2017, On Calibration of Modern Neural Networks, section 4: M = 15 for its tables.
NUM_BINS = 15
DEFINITION = (
    f"expected calibration error, Guo et al. 2017 (arXiv:1706.04599), equation 3: {NUM_BINS} bins "
    "of equal width by the best class's probability, the gap between its mean and the share of "
    "videos where it is right, weighted by videos"
)


class Calibration:
    """Answers by the confidence they were given with: a count, two sums, for each bin.

    counts: (M,) int64, videos. confidences: (M,), the sum of theirs. hits: (M,) int64, those that
    were right. Bin m has confidences above m / M, up to (m + 1) / M.
    """

    def __init__(self, num_bins: int = NUM_BINS):
        self.counts = np.zeros(num_bins, np.int64)
        self.hits = np.zeros(num_bins, np.int64)
        self.confidences = np.zeros(num_bins)

    def add(self, confidence: float, hit: bool) -> None:
        """Counts an answer of probability `confidence`."""
        last = len(self.counts) - 1
        bin = min(last, max(0, int(np.ceil(confidence * len(self.counts))) - 1))
        self.counts[bin] += 1
        self.hits[bin] += int(hit)
        self.confidences[bin] += confidence

    def error(self) -> float:
        """The expected calibration error, in [0, 1]; see DEFINITION."""
        return float(np.abs(self.hits - self.confidences).sum() / self.counts.sum())

    def as_json(self) -> dict:
        """Error and bins; means of empty bins are null."""

        def means(sums):
            pairs = zip(sums.tolist(), self.counts.tolist(), strict=True)
            return [total / count if count else None for total, count in pairs]

        return {
            "ece": self.error(),
            "mean_confidence": float(self.confidences.sum() / self.counts.sum()),
            "definition": DEFINITION,
            "bins": {
                "videos": self.counts.tolist(),
                "confidence": means(self.confidences),
                "accuracy": means(self.hits),
            },
        }
