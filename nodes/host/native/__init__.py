"""A MODEL, CLIP and VAE of ComfyUI's as a `Model` of this pack: run by the host, not copied.

Loading, offload, quantisation, LoRAs, hooks and ControlNets stay the host's. `session` starts its
guider, in which this pack's own loop takes the sampler's place; `denoiser` asks it for a
prediction; `attention` is the one override that a prediction brings along, and which ends with it.
Nothing is put on the user's MODEL.
"""
