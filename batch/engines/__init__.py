"""What rows run on: processes of this machine, a Ray cluster, ComfyUI servers."""
