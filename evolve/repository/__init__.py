"""From a function in a repository to a task, and back to a pull request."""
