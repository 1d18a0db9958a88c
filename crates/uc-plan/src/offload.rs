//! Hardware offload: what moving network work off the processor frees and saves (M8).
