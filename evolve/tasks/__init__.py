"""Task directories: what to evolve and how it is scored."""

from evolve.tasks.region import Region, editable_region
from evolve.tasks.spec import CaseSpec, LimitsSpec, TaskSpec
from evolve.tasks.task import Task, load_task, read_tree

__all__ = ["CaseSpec", "LimitsSpec", "Region", "Task", "TaskSpec", "editable_region", "load_task",
           "read_tree"]
