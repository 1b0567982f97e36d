"""A run that did not begin, since another of its monitor was going on (`--overlap skip`)."""

import os
import time

from crontify_cli.config import load
from crontify_cli.delivery.journal import Journal, JournalError
from crontify_cli.errors import ExitCode, say
from crontify_cli.job.masking import run_mask
from crontify_cli.job.options import ExecOptions
from crontify_cli.job.started import command_line
from crontify_cli.model import Ending, Run
from crontify_cli.places import state_dir
from crontify_cli.processes import start_time


def record_skip(options: ExecOptions) -> None:
    """Write into the journal that a run was skipped, and nowhere else."""
    settings = load(options.config).settings
    monitor = settings.monitor(options.monitor)
    mask = run_mask(options, monitor, ())
    me = os.getpid(), start_time(os.getpid())
    now = time.time()
    run = Run(
        os.urandom(6).hex(),
        options.monitor,
        monitor.id,
        settings.base_url,
        tuple(map(mask, command_line(options))),
        me,
        (0, 0),
        "",
        now,
    )
    ending = Ending("skipped", "skipped: another run was going on", ExitCode.TEMPORARY, now, 0.0)
    try:
        journal = Journal.open(state_dir())
        journal.finish(run, ending, None, None)
        if journal.warning:
            say(journal.warning)
    except (JournalError, OSError) as error:
        say(f"the skipped run is not recorded: {error}")
