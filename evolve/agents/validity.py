"""Check of a new agent before it costs a case: it can still change a repository."""

from evolve.agents.runner import AgentRunner
from evolve.archive import Files, Proposal
from evolve.models import Episode
from evolve.tasks import AgentTask, EpisodeResult

TRIES = 2
FILE = "greeting.txt"
TOY = AgentTask(
    f"This repository holds one file, {FILE}, with one line: the word hello. Change the file so that "
    "the line is the word goodbye instead, and nothing else. Then you are done.\n",
    {FILE: b"hello\n"},
)


async def problem_of(
    runner: AgentRunner, proposal: Proposal, agent: Files, attempt: int, toy: bool
) -> str | None:
    """Check an agent. Exceptions of an episode propagate.

    Args:
        runner: runs episodes
        proposal: owner of the calls
        agent: the agent's tree, path -> content
        attempt: number of the attempt
        toy: also let it change a toy repository, not only import it

    Returns:
        The problem; None if the agent works.
    """
    wrong = await runner.imports(agent)
    if wrong is not None:
        return f"it can't be imported: {wrong}"
    if not toy:
        return None
    for number in range(TRIES):
        produced = await runner.episode(
            proposal, Episode("toy", attempt * TRIES + number), agent, TOY
        )
        wrong = _wrong_with(produced)
        if wrong is None:
            return None
    return f"it can't change a toy repository: {wrong}"


def _wrong_with(produced: EpisodeResult) -> str | None:
    if produced.reason is not None:
        return f"{produced.reason}: {produced.message}\n{produced.log}".strip()
    content = produced.files.get(FILE, b"").decode(errors="replace")
    if content.strip() == "goodbye":
        return None
    return f"{FILE} holds {content[:100]!r} afterwards\n{produced.log}".strip()
