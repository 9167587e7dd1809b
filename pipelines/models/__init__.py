"""What denoises, and the families of models that do it."""
