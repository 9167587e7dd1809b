"""What several node files share: the pack's own sockets, and what a running node shows."""
