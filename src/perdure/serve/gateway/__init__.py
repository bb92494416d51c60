"""The gateway: calls of generative models on their way from clients to upstreams and back."""
