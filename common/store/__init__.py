"""The results store: the schema, the connection, and every query of the program.

May import `studies`, `inputs` and the value objects of `training.job`. Gives `Store` and the tables of `schema` to other rooms.
"""
