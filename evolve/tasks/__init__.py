"""Task directories: what to evolve and how it is scored."""

from evolve.tasks.editable import Editable
from evolve.tasks.region import Region, editable_region, split_lines
from evolve.tasks.spec import CaseSpec, LimitsSpec, TaskSpec
from evolve.tasks.task import Task, load_task, read_tree

__all__ = ["CaseSpec", "Editable", "LimitsSpec", "Region", "Task", "TaskSpec", "editable_region",
           "load_task", "read_tree", "split_lines"]
