"""The by-wire bus HF-DBW v1: matrix, end-to-end protection, codec, and its two ends."""
