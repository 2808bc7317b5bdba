"""Names that evaluators import from other engines, so that those need not be installed.

Each subfolder is imported under its own name (`shinka`, `openevolve`, `skydiscover`) and only where
the engine itself is not what is meant: in scorers of peers' tasks. Standard library only.
"""
