"""Hostile candidates: what each tries, and exactly what must become of it."""

from tests.security.attacks.attack import Attack
from tests.security.attacks.files import FILES
from tests.security.attacks.kernel import KERNEL
from tests.security.attacks.memory import MEMORY
from tests.security.attacks.messages import MESSAGES
from tests.security.attacks.process import PROCESS
from tests.security.attacks.secrets import SECRETS

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (*PROCESS, *MEMORY, *FILES, *SECRETS, *MESSAGES, *KERNEL)
}

__all__ = ["ATTACKS", "Attack"]
