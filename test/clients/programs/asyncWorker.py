"""Works off a queue, three jobs at a time, and says with each call how urgent it is: a gateway behind the sidecar may sort by that."""

import asyncio

from openai import AsyncOpenAI


async def worker(client, jobs):
    done = 0
    while jobs:
        text, priority = jobs.pop(0)
        answer = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": text}],
            extra_headers={"x-priority": priority},
        )
        done += text in answer.choices[0].message.content
    return done


async def main():
    jobs = [(f"job {n}", "high" if n % 3 == 0 else "low") for n in range(12)]
    urgent = sum(priority == "high" for _text, priority in jobs)
    async with AsyncOpenAI() as client:
        done = sum(await asyncio.gather(*[worker(client, jobs) for _ in range(3)]))
    print(f"done: {done} jobs, {urgent} of them urgent")


asyncio.run(main())
