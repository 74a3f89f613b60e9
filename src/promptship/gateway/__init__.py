"""The data plane: an OpenAI-compatible proxy that fills in the prompt, picks the arm, and writes down one line per request.

| file         | holds                                           | file         | holds                                    |
| app.py       | ASGI: which path is whose, start and stop       | wire.py      | the few HTTP words the rest needs        |
| chat.py      | one chat completion, up to the decision         | exchange.py  | the provider's answer, on its way back   |
| intake.py    | a request's body -> Call (pure)                 | rejection.py | what is wrong with it                    |
| live.py      | the routing table now, and its leases           | kept.py      | the last known table, on disk            |
| choose.py    | which version serves a call (pure)              | compose.py   | version + call -> the provider's body    |
| reading.py   | usage, text and end of an answer (pure)         | record.py    | exactly one observation per request      |
| attention.py | notices that the client has left                | upstream.py  | what the gateway needs of a provider     |
| feedback.py  | POST /v1/feedback                               | serve.py     | composition and process                  |
"""
