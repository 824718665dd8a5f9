"""The endpoint: engines that write, and the gateway that decides who may ask them what."""
