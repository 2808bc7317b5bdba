"""Task directories: what to evolve and how it is scored."""

from evolve.tasks.editable import Editable
from evolve.tasks.episode import AgentTask, EpisodeResult, EpisodeUsage
from evolve.tasks.files import copy_task_files, task_files
from evolve.tasks.named import unmarked
from evolve.tasks.region import Region, editable_region, split_lines
from evolve.tasks.spec import SPLITS, AgentSpec, CaseSpec, LimitsSpec, TaskSpec
from evolve.tasks.task import CASES, Task, load_task, read_tree, shipped, with_cases

__all__ = [
    "CASES",
    "SPLITS",
    "AgentSpec",
    "AgentTask",
    "CaseSpec",
    "Editable",
    "EpisodeResult",
    "EpisodeUsage",
    "LimitsSpec",
    "Region",
    "Task",
    "TaskSpec",
    "copy_task_files",
    "editable_region",
    "load_task",
    "read_tree",
    "shipped",
    "split_lines",
    "task_files",
    "unmarked",
    "with_cases",
]
