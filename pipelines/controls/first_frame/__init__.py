"""An edited frame, edited by whatever means, that the rest of the clip follows."""
