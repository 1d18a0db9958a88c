//! What was seen of one workload at one moment.

use serde::{Deserialize, Serialize};

/// One observation of one workload's memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in seconds: since 1970 on a host, since its begin in a recording.
    pub t_s: f64,
    /// Anonymous resident memory in bytes. The page cache is not in it: the kernel takes that back by itself, so its growth is
    /// no leak.
    pub rss_bytes: u64,
    /// The limit in bytes at which the kernel kills; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Which life of the workload this is: any number that changes when it is restarted.
    #[serde(default)]
    pub life: u64,
    /// OOM kills so far, as the kernel counts them; a counter that may be reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// The share of the last ten seconds in which some task waited for memory, from 0 to 1 (PSI, `some avg10`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<f32>,
}

impl Sample {
    /// A sample of nothing but memory and its limit.
    pub fn new(t_s: f64, rss_bytes: u64, limit_bytes: Option<u64>) -> Self {
        Self {
            t_s,
            rss_bytes,
            limit_bytes,
            life: 0,
            oom_kills: None,
            pressure: None,
        }
    }
}
