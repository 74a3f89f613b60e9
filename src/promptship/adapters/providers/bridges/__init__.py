"""APIs that a provider does not offer, by way of chat completions: requests become one, answers are made of one. Pure.

| file                 | holds                                                                          |
| bridge.py            | one call on its way there and back, and what is renamed in its errors           |
| chunks.py            | what the streams read                                                           |
| content.py           | parts of messages                                                               |
| responses_asked.py   | OpenAI's responses -> a chat completion's request                               |
| responses_told.py    | a chat completion, whole -> a response       responses_stream.py  the same of streams |
| messages_asked.py    | Anthropic's messages -> a chat completion's request                             |
| messages_told.py     | a chat completion, whole -> a message        messages_stream.py   the same of streams |

What has no counterpart is a 400 that names the field. Fields that no API here knows are passed on: they may be parameters of the
prompt that mean something to its model.
"""
