"""The gateway: OpenAI's routes under identity, policy, quotas, guards and audit."""
