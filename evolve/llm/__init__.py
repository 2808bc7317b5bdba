"""Models: one client for every model, calls that are reserved before and stored after they are made."""

from evolve.llm.caller import Caller, OutOfBudget, RecordedCaller
from evolve.llm.client import Ask, Client, Completion, check_key
from evolve.llm.counting import counter_for
from evolve.llm.faults import ModelError, ModelFault
from evolve.llm.local_server import local_models
from evolve.llm.names import ModelName, parse_model
from evolve.llm.prices import Price, price_of
from evolve.llm.samples import SHARED, Shared

__all__ = ["SHARED", "Ask", "Caller", "Client", "Completion", "ModelError", "ModelFault", "ModelName",
           "OutOfBudget", "Price", "RecordedCaller", "Shared", "check_key", "counter_for",
           "local_models", "parse_model", "price_of"]
