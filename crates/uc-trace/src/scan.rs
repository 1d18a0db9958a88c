//! The system calls that a program's code can make, read without running it.
