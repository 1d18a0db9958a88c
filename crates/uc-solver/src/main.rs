//! `uc-solve`: solves the integer programs of `uc plan`, one request a line on standard input, one answer a line on standard
//! output. It opens nothing, and ends when its input does.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    process::ExitCode,
};

use uc_plan::portfolio::{Request, Response, Solver as _};
use uc_solver::Highs;

/// The most bytes of a request: a thousand technologies in sixteen quarters take a tenth of it.
const MAX_REQUEST_BYTES: u64 = 256 << 20;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody is there to be told.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut input)
            .take(MAX_REQUEST_BYTES)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        serde_json::to_writer(&mut output, &answer(&line))?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
}

fn answer(line: &[u8]) -> Response {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Response::Failed(format!("the request is malformed: {error}")),
    };
    match Highs.maximise(&request.program, &request.limits) {
        Ok(solved) => Response::Solved(solved),
        Err(problem) => Response::Failed(problem.to_string()),
    }
}
