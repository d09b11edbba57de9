"""A whole process is down for a while; what was asked meanwhile is answered when it is back, once."""

from __future__ import annotations

from bot.testing.slack import SlackServer
from core.storage.database import Database
from tests.acceptance.installation import PATIENCE_SECONDS, Installation, until_all_is_done


async def test_questions_from_an_outage_are_answered_afterwards(
    installation: Installation, own_database: Database
) -> None:
    async with SlackServer() as slack:
        async with installation.serving(**slack.environment()):
            await slack.post_message("U1", "C1", "good morning")
            await slack.settled(PATIENCE_SECONDS)
        slack.deliverer.loses_everything = True
        question = await slack.mention("U1", "C1", "How are hotels paid?")
        direct = await slack.dm("U2", "How do I book a train?")
        slack.deliverer.loses_everything = False
        async with installation.serving(**slack.environment()) as serving:
            await slack.until(lambda: slack.replies("C1", question), PATIENCE_SECONDS)
            await slack.until(lambda: slack.replies("DU2", direct), PATIENCE_SECONDS)
            await slack.settled(PATIENCE_SECONDS)
            await until_all_is_done(own_database)
            (gap,) = serving.logged("slack_gap")
            assert (gap["found"], gap["too_old"], gap["unread"]) == (2, 0, 0)
        assert len(slack.replies("C1", question)) == len(slack.replies("DU2", direct)) == 1
