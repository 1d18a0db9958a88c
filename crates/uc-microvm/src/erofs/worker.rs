//! Acting on files of the containers' ids.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uc_linux::{IdMapping, MapWriter, userns};
use uc_model::{Problem, Result, Telling};

/// Does `work` where it may read every file that belongs to the containers: in this process for root, else in a forked
/// one that is user 0 of the containers' user namespace, in `directory`. There, files are seen to belong to ids of
/// containers; root sees those of the host. Files opened before stay open.
///
/// # Errors
/// Those of `work`; of the host, where no user namespace can be made.
pub(crate) fn as_container_root<T>(
    mapping: &IdMapping,
    directory: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<T>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    if mapping.writer == MapWriter::Direct {
        return work();
    }
    let worker = userns::Worker::fork(mapping, directory, || {
        let answer = match work() {
            Ok(value) => Answer::Done(value),
            Err(problem) => Answer::Failed(Telling::of(&problem)),
        };
        serde_json::to_vec(&answer).unwrap_or_default()
    })?;
    match serde_json::from_slice(&worker.finish()?) {
        Ok(Answer::Done(value)) => Ok(value),
        Ok(Answer::Failed(telling)) => Err(telling.into_problem()),
        Err(error) => {
            Err(Problem::internal("the worker that makes images sent nonsense").caused_by(error))
        }
    }
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
enum Answer<T> {
    Done(T),
    Failed(Telling),
}
