"""The data plane: OpenAI's and Anthropic's APIs, with the prompt filled in, the arm picked, and one line written down per request.

| file              | holds                                           | file              | holds                                    |
| app.py            | ASGI: which path is whose, start and stop       | wire.py           | the few HTTP words the rest needs        |
| serving.py        | one request, up to the decision                 | exchange.py       | the provider's answer, on its way back   |
| apis.py           | the APIs: how each is read, composed, observed  | rejection.py      | what is wrong, in each API's shape       |
| intake*.py        | a request's body -> Call (pure)                 | compose.py        | version + call -> the provider's body    |
| reading*.py       | usage, text and end of an answer (pure)         | record.py         | exactly one observation per request      |
| live.py           | the routing table now, and its leases           | kept.py           | the last known table, on disk            |
| choose.py         | which version serves a call (pure)              | admission.py      | how much is taken on at once             |
| embeddings.py     | POST /v1/embeddings                             | models.py         | GET /v1/models                           |
| feedback.py       | POST /v1/feedback                               | keys.py           | keys of applications                     |
| attention.py      | notices that the client has left                | upstream.py       | what the gateway needs of a provider     |
| protocol.py       | uvicorn's protocol with deadlines               | serve.py          | composition and process                  |
| attributes.py     | what a request says of itself, for policies     |                   |                                          |
| sampling.py       | answers for the scorer, drawn by chance         | hiding.py         | usage that the client did not ask for    |
"""
