"""The knowledge of a run about one model: how to ask it, and whether it has ever answered.

Until a model has answered, its calls are sent one at a time: what its server refuses is
learned once, and an endpoint without hope costs a few calls, not one for each place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from evolve.config import ModelOptions, Settings
from evolve.models.adapting import Manner
from evolve.models.answers import Completion
from evolve.models.client import Client, Messages, SamplingParams
from evolve.models.errors import Adapted, ModelError, ModelFault
from evolve.models.names import ModelName

STRIKES = 3  # so many useless answers in a row are enough
Say = Callable[[str], None]


class Meeting:
    """One model of a run.

    Args:
        name: the model
        settings: of the run
        options: changed parameters of this model
        say: called with a message for people, once for each

    Attributes:
        manner: the form of a request that it accepts
    """

    def __init__(
        self, name: ModelName, settings: Settings, options: ModelOptions, say: Say
    ) -> None:
        self.name, self._settings, self._options = name, settings, options
        self._say, self._told = say, set[str]()
        self.manner = Manner()
        self._answered = False
        self._final: ModelError | None = None
        self._alone = asyncio.Lock()
        self._useless = self._silent = 0
        self._spared = set[str]()  # proposals with a prompt that was not sent

    @property
    def wanted_reply(self) -> int:
        """Limit of a reply by the options of the model, else by the settings."""
        return self._options.max_tokens or self._settings.reply_tokens

    @property
    def prompt_room(self) -> int | None:
        """The longest prompt that it takes, in tokens; None if its context is not known."""
        return self.manner.sizes.prompt_room(self.wanted_reply)

    def has_answered(self) -> None:
        """Record that it has answered, now or before a restart."""
        self._answered, self._useless = True, 0

    async def look(self, client: Client) -> None:
        """Ask its server for the context of the model, if it is self-hosted.

        Args:
            client: sends the request

        Raises:
            ModelError: no server listens, and it never did in this run
        """
        try:
            listed = await client.listed(self.name)
        except ModelError as error:
            if not self._answered:
                raise self._no_server(error) from None
            return
        if listed.window is not None:
            self.manner.sizes.window = listed.window
            self.tell_sizes()

    def tell_sizes(self) -> None:
        """Report once that prompts or replies are fitted into the model's context."""
        settings, sizes = self._settings, self.manner.sizes
        room = self.prompt_room
        if room is None or room >= settings.prompt_tokens:
            return
        assert sizes.window is not None
        reply = sizes.window - room
        self.tell(
            f"its context is {sizes.window:,} tokens: prompts get up to {room:,} (prompt_tokens "
            f"= {settings.prompt_tokens}), replies {min(reply, self.wanted_reply):,} "
            f"(reply_tokens = {self.wanted_reply})"
        )

    def tell(self, message: str) -> None:
        """Report something about the model, once.

        Args:
            message: for people
        """
        if message not in self._told:
            self._told.add(message)
            self._say(f"{self.name}: {message}")

    def params(
        self,
        messages: Messages,
        reply: int,
        seed: int,
        temperature: float,
        samples: int = 1,
    ) -> SamplingParams:
        """Return the parameters of a request, with the options of the model.

        Args:
            messages: the chat
            reply: limit of the reply in the settings, or what an agent asks for
            seed: for sampling
            temperature: of the schedule
            samples: number of replies

        Returns:
            Parameters whose limit fits into the context.
        """
        options = self._options
        chosen = options.temperature if options.temperature is not None else temperature
        effort = options.reasoning_effort
        more = {} if effort is None else {"reasoning_effort": effort}
        wanted = reply
        if options.max_tokens and reply == self._settings.reply_tokens:
            wanted = options.max_tokens
        return SamplingParams(
            self.manner.sizes.reply_limit(messages, wanted),
            seed,
            None if isinstance(chosen, str) else chosen,
            samples,
            more=more | options.extra_body,
        )

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Context manager: wait until a request may be sent.

        Yields:
            While the request is sent; no other is, until the model has answered.

        Raises:
            ModelError: the final error of an earlier call
        """
        if not self._answered:
            async with self._alone:
                self._raise_final()
                if not self._answered:  # no call before this one was answered
                    yield
                    return
        self._raise_final()
        yield

    def _raise_final(self) -> None:
        if self._final is not None:
            raise self._final

    def failed(self, error: ModelError) -> ModelError:
        """Judge an error of a call that is settled.

        Args:
            error: of the call

        Returns:
            The error to raise: `Adapted` if the refusal taught how to ask, a final one if
            there is no hope, else the same.
        """
        learned = None
        if error.refusal is not None:
            learned = self.manner.learn(error.refusal)
            self.tell_sizes()
        if learned is not None:
            self.tell(learned)
            return Adapted(f"{self.name}: {learned}")
        if error.refusal and error.refusal.about_size and self.manner.sizes.window:
            error = self._too_long(error.message)
        if not self._answered:
            error = self._without_hope(error)
        if error.fault is ModelFault.FINAL:
            self._final = error
        return error

    def check_length(self, proposal: str, messages: Messages) -> None:
        """Refuse a prompt that was made before the context was known, once a proposal.

        Args:
            proposal: id of the proposal, whose prompt can be made again
            messages: the chat

        Raises:
            ModelError: it is too long
        """
        if proposal not in self._spared and self.manner.sizes.too_long(messages):
            self._spared.add(proposal)
            raise self._too_long("it was not sent")

    def _too_long(self, why: str) -> ModelError:
        """Return the error of a prompt that does not fit, with its cause and both settings."""
        window, settings = self.manner.sizes.window, self._settings
        found = ModelError(
            ModelFault.PROMPT,
            f"the prompt does not fit into the context of {window:,} tokens: lower "
            f"prompt_tokens (now {settings.prompt_tokens}) or reply_tokens (now "
            f"{self.wanted_reply}), or let the server take more; {why}",
        )
        found.malformed = found.too_long = True
        return found

    def _without_hope(self, error: ModelError) -> ModelError:
        """Return a final error for an endpoint that never answered and will not."""
        if error.start:
            return self._no_server(error)
        self._useless = self._useless + 1 if error.malformed else 0
        if self._useless < STRIKES:
            return error
        return ModelError(
            ModelFault.FINAL,
            f"{error.message} ({STRIKES} calls in a row, and no reply before)",
            error.hint or f"evolve doctor --model '{self.name}'",
        )

    def _no_server(self, error: ModelError) -> ModelError:
        self._final = ModelError(ModelFault.FINAL, error.message, error.start)
        return self._final

    def replied(self, messages: Messages, reply: Completion) -> None:
        """Learn from a reply that is settled.

        Args:
            messages: the chat
            reply: the answer

        Raises:
            ModelError: the model has spent all tokens on reasoning several times in a row
        """
        if reply.estimated:
            self.tell(
                "it reports no usage: tokens are counted here and marked as estimated"
            )
        else:
            self.manner.sizes.measure(messages, reply.prompt_tokens)
        if not reply.thought_tokens:
            self._silent = 0
            if any(sample.text.strip() for sample in reply.samples):
                self.has_answered()
            return
        self._silent += 1
        advice = (
            f"raise reply_tokens (now {self.wanted_reply}) or lower reasoning_effort: "
            f"--model '{self.name} max_tokens=N reasoning_effort=low'"
        )
        spent = f"the model used {reply.thought_tokens:,} tokens on reasoning"
        if self._silent >= STRIKES:
            self._final = ModelError(
                ModelFault.FINAL,
                f"{self.name}: {spent} and gave no answer, {self._silent} times in a row",
                f"{advice}; then: evolve resume",
            )
            raise self._final
        if "reasoning" not in self._told:
            self._told.add("reasoning")
            self._say(f"{self.name}: {spent} and gave no answer: {advice}")
