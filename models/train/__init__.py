"""Training of the shipped networks and models; the engine never imports this."""
