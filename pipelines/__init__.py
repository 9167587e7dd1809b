"""The science: plain torch and diffusers, knows no host."""
