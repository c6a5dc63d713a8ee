"""The inputs: files are downloaded, found and checked, and become rows, tokens and batches.

May import `studies`. Gives `get_checkpoint`, `get_glue_folder`, `load_glue`, `get_tokens` and batches to other rooms.
"""
