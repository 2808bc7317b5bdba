"""Messages: answers that are no plain values, and replies that were never asked for."""

from tests.security.attacks.attack import Attack, Reason, faulted

_refused = faulted(Reason.REFUSED)


def _answers(name: str, body: str) -> Attack:
    return Attack(name, body, _refused)


MESSAGES = (
    _answers(
        "subclassed_float",
        """
class Best(float):
    def __gt__(self, other): return True
    def __float__(self): return 1e9
def answer(): return Best(1.0)
""",
    ),
    _answers(
        "reduces_to_code",
        """
class Code:
    def __reduce__(self): return (os.system, ("touch /tmp/x",))
def answer(): return [Code()]
""",
    ),
    _answers("complex_number", "def answer(): return 1 + 0j"),
    _answers("not_a_number", "def answer(): return [1.0, float('nan')]"),
    _answers("infinite", "def answer(): return {'score': float('inf')}"),
    _answers(
        "object_array",
        """
def answer():
    import numpy
    return numpy.array([os.system, 1], dtype=object)
""",
    ),
    _answers(
        "deep_recursion",
        """
def answer():
    value = []
    for _ in range(100_000):
        value = [value]
    return value
""",
    ),
    _answers(
        "refers_to_itself",
        """
def answer():
    value = []
    value.append(value)
    return value
""",
    ),
    _answers("too_large_an_answer", "def answer(): return bytes(40 << 20)"),
    _answers("endless_number", "def answer(): return 10 ** 100_000"),
    _answers(
        "huge_frame",
        """
def answer():
    os.write(4, struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF))
    time.sleep(20)
""",
    ),
    _answers("frame_that_is_no_json", "def answer(): forge(b'\\xff\\xfe{')"),
    _answers("frame_that_is_a_list", "def answer(): forge(b'[' * 60_000)"),
    _answers(
        "reply_nobody_asked_for", "def answer(): forge({'ok': True, 'id': '0' * 16})"
    ),
    _answers("reply_without_an_id", "def answer(): forge({'ok': True})"),
    _answers(
        "reply_that_is_neither", "def answer(): forge({'ok': 1}, id=question()['id'])"
    ),
    _answers(
        "reason_that_is_a_list",
        """
def answer(): forge({'ok': False, 'error': [[]], 'message': {}}, id=question()['id'])
""",
    ),
    _answers(
        "reason_of_the_machine",
        """
def answer(): forge({'ok': False, 'error': 'provider', 'message': 'try again'}, id=question()['id'])
""",
    ),
    Attack(
        "message_that_can_not_be_stored",
        """
def answer():
    forge({'ok': False, 'error': 'exception', 'message': '\\ud800', 'traceback': ['\\udfff']},
          id=question()['id'])
""",
        lambda outcome: (
            faulted(Reason.EXCEPTION)(outcome)
            and bool(outcome.fault)
            and outcome.fault.message.encode() == b"\\ud800"
        ),
    ),
    Attack(
        "garbage_on_the_reply_pipe",
        """
def answer():
    while True:
        os.write(4, os.urandom(65536))
""",
        _refused,
    ),
    Attack(
        "prints_without_end",
        """
def answer():
    while True:
        os.write(1, b"x" * 65536)
""",
        faulted(Reason.OUTPUT),
    ),
    Attack(
        "prints_without_end_from_a_child",
        """
def answer():
    def spam():
        while True:
            os.write(2, b"y" * 65536)
    spawn(spam)
    time.sleep(20)
""",
        faulted(Reason.OUTPUT),
    ),
    Attack(
        "looks_like_the_servers_packets",
        """
def answer():
    for _ in range(50):
        print("E\\0\\0\\0\\2{}", flush=True)
        os.write(1, struct.pack(">cI", b"E", 14) + b'{"clean":true}')
    os._exit(0)
""",
        faulted(Reason.CRASH),
    ),
)
