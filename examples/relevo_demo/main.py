"""`relevo demo`: starts the platform, plays the script, and reports the results."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from grpc import aio
from relevo.demo.v1.rag_platform_pb2_grpc import OrchestratorServiceStub
from relevo_cli.progress import showing
from relevo_client import AsyncContextClient, RelevoError

from relevo_demo import files
from relevo_demo.brief_report import BriefReport
from relevo_demo.full_report import FullReport
from relevo_demo.launching import ProcessError, end_on_signals
from relevo_demo.owner import AgentManagement
from relevo_demo.processes import PROCESSES, Platform, platform
from relevo_demo.report import Report
from relevo_demo.story import Story

DONE, FAILED, INTERRUPTED = 0, 1, 130


def run(*, store: str, record: Path | None = None, everything: bool = False) -> int:
    """Run the demo on a store, and write its observations to `record` as JSON.

    It plays one conversation, and prints two screens; with `everything` all of the script's
    conversations, and every setting that a service used.

    Returns 0 if every promise was kept, 1 if one was not or something failed, and 130
    if the demo was interrupted.
    """
    try:
        return asyncio.run(_run(store, record, everything=everything))
    except asyncio.CancelledError:
        return _fail(INTERRUPTED, "interrupted")
    except aio.AioRpcError as error:
        return _fail(FAILED, f"{error.code().name}: {error.details()}")
    except (RelevoError, ProcessError, files.FileError, OSError) as error:
        return _fail(FAILED, str(error))


async def _run(store: str, record: Path | None, *, everything: bool) -> int:
    end_on_signals()
    report: Report = FullReport() if everything else BriefReport()
    script = files.script() if everything else files.brief(files.script())
    report.opening(script)
    configurations = files.configurations()
    async with (
        _started(store) as running,
        AsyncContextClient(running.store.address) as contexts,
        aio.insecure_channel(running.services[0].address) as channel,
    ):
        owner = AgentManagement(contexts)
        await owner.publish(configurations)
        report.platform(running, owner.puts)
        story = Story(script, owner, OrchestratorServiceStub(channel), report)
        await story.play()
    if record:
        _write(record, running, owner, story)
    if story.problems:
        report.problems(story.problems)
        return FAILED
    report.summary(story.turns, owner.puts, script.change)
    return DONE


@asynccontextmanager
async def _started(store: str) -> AsyncGenerator[Platform]:
    """The running platform. Its start takes some seconds, and shows its progress."""
    async with AsyncExitStack() as stack:
        with showing("processes started", PROCESSES) as progress:
            running = await stack.enter_async_context(platform(store, progress.advance))
        yield running


def _write(record: Path, running: Platform, owner: AgentManagement, story: Story) -> None:
    observations = {
        **asdict(running),
        "puts": owner.puts,
        "change": story.change
        and {"key": str(story.change.key), "revision": story.change.revision},
        "turns": [asdict(turn) for turn in story.turns],
        "problems": story.problems,
    }
    record.write_text(json.dumps(observations, indent=2, ensure_ascii=False), "utf-8")


def _fail(code: int, text: str) -> int:
    print(f"relevo demo: {text}", file=sys.stderr)
    return code
