"""The red-team pack: attacks that need no network, the strategies they are dressed in, and the graders that judge the answers."""
