//! Prints the generating vector of `monte_carlo/generating_vector.rs`, in lines of eight as it stands there.

#![allow(clippy::print_stdout, reason = "the table is its output")]

mod search;

fn main() {
    for line in search::generating_vector(256).chunks(8) {
        let line: Vec<_> = line.iter().map(u32::to_string).collect();
        println!("    {},", line.join(", "));
    }
}
