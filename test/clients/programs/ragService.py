"""Embeds a few documents, keeps the vectors in memory, finds the one nearest to a question, and has it answered from that, streamed."""

from openai import OpenAI

client = OpenAI()
DOCUMENTS = ["Outrider holds the key.", "Streams pass event by event.", "Every wait has a bound."]


def embed(texts):
    return [one.embedding for one in client.embeddings.create(model="text-embedding-3-small", input=texts).data]


def near(one, other):
    return sum(a * b for a, b in zip(one, other))


vectors = embed(DOCUMENTS)
# The fake embeddings know equal texts only, so the question is one of the documents.
[question] = embed(["Outrider holds the key."])
found = max(range(len(DOCUMENTS)), key=lambda n: near(vectors[n], question))
print(f"found: {DOCUMENTS[found]}")

stream = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": f"Answer from this: {DOCUMENTS[found]} Who holds the key?"}],
    stream=True,
)
print("answer: ", end="")
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
print()
