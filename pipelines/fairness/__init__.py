"""What FAME needs beside its controls: attributes, the prompt encoder, targets over a batch."""
