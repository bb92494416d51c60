"""Prompts rendered: templates in a small, bounded language, with variables that are checked and never read as templates."""

from perdure.engines.prompts.compiling import CompiledPrompt, compile_prompt, compiled_prompt, render
from perdure.engines.prompts.output import response_format
from perdure.engines.prompts.variants import for_model

__all__ = ["CompiledPrompt", "compile_prompt", "compiled_prompt", "for_model", "render", "response_format"]
