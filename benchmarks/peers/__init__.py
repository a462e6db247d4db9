"""The same tasks with other libraries, as their users write them. Those of locks/ have an environment of their own."""
