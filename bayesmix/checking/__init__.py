"""L6: a variational fit beside samplers that share nothing with it but the model."""
