"""perdure.serve.scoring."""
