"""The work behind ``order_fulfilment``: ordinary functions that know nothing of durable execution.

``desk`` checks, prices, packs and writes papers; ``gateway`` is the payment provider; ``shapes`` says what
the values look like. All values are plain JSON, so they are recorded as they are.
"""
