"""Prompts in the loop: what is measured of them, why they decay, what replaces them, and what that must prove."""
