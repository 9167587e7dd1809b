"""Models' files as they come, untrusted: what they are, their tensors, their fingerprint."""
