"""Models: one client for every model, calls that are reserved before and stored after they are made."""

from evolve.llm.caller import Answer, Caller, Interrupted, OutOfBudget
from evolve.llm.client import Ask, Client, Completion, check_key
from evolve.llm.counting import counter_for
from evolve.llm.embedding import Embedder, ModelEmbedder, TokenEmbedder, TransformerEmbedder, as_text
from evolve.llm.faults import ModelError, ModelFault
from evolve.llm.local_server import local_models
from evolve.llm.names import INSIDE, ModelName, asked_models, parse_model
from evolve.llm.prices import Price, price_of
from evolve.llm.recorded import RecordedCaller
from evolve.llm.samples import SHARED, Shared
from evolve.llm.steps import Episode, StepAsker, asked_the_same, place_of

__all__ = [
    "INSIDE", "SHARED", "Answer", "Ask", "Caller", "Client", "Completion", "Embedder", "Episode",
    "Interrupted", "ModelEmbedder", "ModelError", "ModelFault", "ModelName", "OutOfBudget", "Price",
    "RecordedCaller", "Shared", "StepAsker", "TokenEmbedder", "TransformerEmbedder", "as_text",
    "asked_models", "asked_the_same", "check_key", "counter_for", "local_models", "parse_model",
    "place_of", "price_of",
]
