//! How long a restore may take, and whether it is the snapshot's fault where it fails.
//!
//! A snapshot that does not work must go, or every start would fail first. One that does is not to be lost because this host
//! is short of something, or because reading it to its end takes long.

use std::{convert::Infallible, time::Duration};

use tokio::sync::oneshot;
use uc_model::{Problem, Result};

/// How long a machine that was restored may take to its agent's first answer, once its snapshot is known to be whole: fifty at
/// once take less than half of it. One that takes longer is given up for one that is booted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long reading a snapshot to its end may take: a start that has waited for so long is a cold one, and the reading goes on
/// for the next.
pub(crate) const VERIFICATION_PATIENCE: Duration = Duration::from_secs(60);

/// Why a machine was not restored.
#[derive(Debug)]
pub(crate) struct NotRestored {
    pub(crate) problem: Problem,
    /// Whether it is the snapshot that does not work. Otherwise it may the next time.
    pub(crate) by_snapshot: bool,
}

impl NotRestored {
    pub(crate) fn by_snapshot(problem: Problem) -> Self {
        Self {
            problem,
            by_snapshot: true,
        }
    }
}

impl From<Problem> for NotRestored {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            by_snapshot: false,
        }
    }
}

/// What is restored while its snapshot is read to its end, with a patience for each.
pub(crate) async fn within<T>(
    [patience, verification_patience]: [Duration; 2],
    restored: impl Future<Output = Result<T, NotRestored>>,
    verification: impl Future<Output = Result<(), NotRestored>>,
) -> Result<T, NotRestored> {
    let (reading, read) = oneshot::channel::<Infallible>();
    let restored = async {
        tokio::select! {
            biased;
            restored = restored => restored,
            () = async {
                // It is dropped when all has been read.
                let _ = read.await;
                tokio::time::sleep(patience).await;
            } => Err(NotRestored::by_snapshot(silent())),
        }
    };
    let verified = async {
        let verified = tokio::time::timeout(verification_patience, verification).await;
        verified.unwrap_or_else(|_| Err(slow(verification_patience).into()))?;
        drop(reading);
        Ok(())
    };
    tokio::try_join!(restored, verified).map(|(restored, ())| restored)
}

/// Why a machine is given up that does not answer after a restore.
pub(crate) fn silent() -> Problem {
    Problem::host("the microVM's agent is not reached again")
        .limit(format!("{} s", PATIENCE.as_secs()))
}

fn slow(patience: Duration) -> Problem {
    Problem::storage("reading a microVM's snapshot takes too long")
        .limit(format!("{} s", patience.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(1000);

    #[tokio::test]
    async fn what_takes_long_to_read_is_waited_for_and_does_not_cost_the_agent_its_time() {
        let (tell, told) = oneshot::channel();
        let verification = async {
            tokio::time::sleep(20 * SHORT).await;
            let _ = tell.send(());
            Ok(())
        };
        let restored = async { Ok(told.await.is_ok()) };
        let restored = within([SHORT, LONG], restored, verification).await;
        assert!(restored.expect("in time"));
    }

    #[tokio::test]
    async fn only_what_shows_that_a_snapshot_does_not_work_counts_against_it() {
        let spoilt = || NotRestored::by_snapshot(Problem::storage("not what was saved"));
        let short_of_files = || NotRestored::from(Problem::host("too many open files"));
        let silent = within([SHORT, LONG], pending::<Result<(), _>>(), ready(Ok(()))).await;
        assert!(silent.expect_err("silent").by_snapshot);
        let slow = within([LONG, SHORT], ready(Ok(())), pending()).await;
        assert!(!slow.expect_err("not read yet").by_snapshot);
        let read = within([LONG; 2], pending::<Result<(), _>>(), ready(Err(spoilt()))).await;
        assert!(read.expect_err("spoilt").by_snapshot);
        let refused = within([LONG; 2], ready(Err::<(), _>(spoilt())), pending()).await;
        assert!(refused.expect_err("refused").by_snapshot);
        let short = within([LONG; 2], ready(Err::<(), _>(short_of_files())), pending()).await;
        assert!(!short.expect_err("short of files").by_snapshot);
    }
}
