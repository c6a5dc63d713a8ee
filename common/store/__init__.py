"""Where results are kept: the schema, the connection, and every query that the program makes.

May import `studies`, `inputs` and the value objects of `training.job`. Hands out `Store` and the tables of `schema`.
"""
