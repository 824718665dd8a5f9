"""The engine `openai`: a model that a server elsewhere computes, asked over HTTP."""
