//! Red lines: facts to verdicts with cost and remedy.
