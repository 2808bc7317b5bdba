"""Models: one client for all of them. Each call is reserved before it is sent.

Its reply is stored before it is used.
"""

from evolve.models.answers import Completion
from evolve.models.budgeted import (
    Before,
    BudgetedModels,
    Interrupted,
    OutOfBudget,
)
from evolve.models.client import Client, Listed, SamplingParams, check_key
from evolve.models.counting import counter_for
from evolve.models.embeddings import (
    Embedder,
    ModelEmbedder,
    TokenEmbedder,
    TransformerEmbedder,
    as_text,
)
from evolve.models.episodes import Episode, asked_the_same, place_of
from evolve.models.errors import Adapted, ModelError, ModelFault
from evolve.models.meeting import Meeting
from evolve.models.names import INSIDE, ModelName, asked_models, parse_model
from evolve.models.prices import price_of
from evolve.models.protocol import Models
from evolve.models.replayed import ReplayedModels
from evolve.models.vllm import local_models

__all__ = [
    "INSIDE",
    "Adapted",
    "Before",
    "BudgetedModels",
    "Client",
    "Completion",
    "Embedder",
    "Episode",
    "Interrupted",
    "Listed",
    "Meeting",
    "ModelEmbedder",
    "ModelError",
    "ModelFault",
    "ModelName",
    "Models",
    "OutOfBudget",
    "ReplayedModels",
    "SamplingParams",
    "TokenEmbedder",
    "TransformerEmbedder",
    "as_text",
    "asked_models",
    "asked_the_same",
    "check_key",
    "counter_for",
    "local_models",
    "parse_model",
    "place_of",
    "price_of",
]
