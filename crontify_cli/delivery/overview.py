"""Queries about all monitors of the journal at once."""

from crontify_cli.delivery.journal_file import JournalFile

# One search in the index for each monitor: DISTINCT would read all runs.
_MONITORS = (
    "WITH RECURSIVE seen (monitor) AS (SELECT min(monitor) FROM runs UNION ALL"
    " SELECT (SELECT min(monitor) FROM runs WHERE monitor > seen.monitor)"
    " FROM seen WHERE seen.monitor IS NOT NULL)"
    " SELECT monitor FROM seen WHERE monitor IS NOT NULL"
)


def monitors(journal: JournalFile) -> list[str]:
    """Return the names under which runs were recorded, in order; raises JournalError."""
    return [str(name) for (name,) in journal.query(_MONITORS)]
