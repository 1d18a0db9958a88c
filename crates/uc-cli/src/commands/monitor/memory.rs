//! A monitor waits for weeks; the code that started its workload need not stay in memory for that.

use std::fs;

/// Lets the kernel take back the pages of this program's own code. What is still needed is read in again from the file,
/// a few pages; the rest would count as this process's share for as long as it waits.
#[allow(unsafe_code, reason = "madvise(2) on memory has no safe wrapper")]
pub(super) fn release_startup_code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    for (start, end) in code_of(&maps, &program.to_string_lossy()) {
        // SAFETY: the range is a private, read-only mapping of the program file, so no page of it was ever changed:
        // a page that is dropped comes back with the same content when it is used next.
        let released = unsafe {
            rustix::mm::madvise(
                start as *mut std::ffi::c_void,
                end - start,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        // It is a saving, not a need.
        let _ = released;
    }
}

/// The executable mappings of a program in the text of /proc/self/maps. Others may hold pages that the dynamic linker
/// has changed.
fn code_of(maps: &str, program: &str) -> Vec<(usize, usize)> {
    maps.lines()
        .filter(|line| line.ends_with(program) && line.contains(" r-xp "))
        .filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some((
                usize::from_str_radix(start, 16).ok()?,
                usize::from_str_radix(end, 16).ok()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_itself_is_released() {
        let maps = "1000-2000 r--p 00000000 fe:00 7 /usr/bin/uc\n2000-5000 r-xp 00001000 fe:00 7 /usr/bin/uc\n\
                    5000-6000 rw-p 00004000 fe:00 7 /usr/bin/uc\n7000-8000 r-xp 00000000 fe:00 9 /lib/libc.so.6\n";
        assert_eq!(code_of(maps, "/usr/bin/uc"), [(0x2000, 0x5000)]);
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        release_startup_code();
        assert_eq!(code_of("", "x"), []);
    }
}
