"""Prompts as tokens, words and states, and how those of two prompts correspond."""
