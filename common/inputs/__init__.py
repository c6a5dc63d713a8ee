"""What comes in: files are fetched and checked, and become rows, tokens and batches.

May import `studies`. Hands out `get_checkpoint`, `get_glue_folder`, `load_glue`, `get_tokens` and the batches of a run.
"""
