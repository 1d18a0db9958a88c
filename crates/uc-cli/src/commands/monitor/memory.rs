//! A monitor waits for weeks; the code that started its workload need not stay in memory for that.

use std::fs;

/// Lets the kernel take back the pages of this program's file that were never changed. What is still needed is read in
/// again, a few pages; the rest would count as this process's share for as long as it waits.
#[allow(unsafe_code, reason = "madvise(2) on memory has no safe wrapper")]
pub(super) fn release_startup_code() {
    let mappings = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    for (start, end) in unchanged(&mappings, &program.to_string_lossy()) {
        // SAFETY: the range is a private mapping of the program file that cannot be written and holds no changed page,
        // so a page that is dropped comes back with the same content when it is used next.
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

/// The mappings of a program's file, in the text of /proc/self/smaps, that are read-only and hold no changed page.
/// (The dynamic linker changes some before it makes them read-only.)
fn unchanged(smaps: &str, program: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(range) = range_of(line) {
            let read_only = line.contains(" r-xp ") || line.contains(" r--p ");
            current = (read_only && line.ends_with(program)).then_some(range);
        } else if line.starts_with("Anonymous:") && line.split_whitespace().nth(1) == Some("0") {
            found.extend(current.take());
        }
    }
    found
}

/// The range of a mapping's first line; the lines below it have a name and a colon there.
fn range_of(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some((
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_pages_of_the_program_are_released() {
        let smaps = "1000-2000 r--p 00000000 fe:00 7 /usr/bin/uc\nRss: 4 kB\nAnonymous: 0 kB\n\
                     2000-5000 r-xp 00001000 fe:00 7 /usr/bin/uc\nAnonymous: 0 kB\n\
                     5000-6000 r--p 00004000 fe:00 7 /usr/bin/uc\nAnonymous: 4 kB\n\
                     6000-7000 rw-p 00005000 fe:00 7 /usr/bin/uc\nAnonymous: 0 kB\n\
                     7000-8000 r-xp 00000000 fe:00 9 /lib/libc.so.6\nAnonymous: 0 kB\n";
        assert_eq!(
            unchanged(smaps, "/usr/bin/uc"),
            [(0x1000, 0x2000), (0x2000, 0x5000)]
        );
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        release_startup_code();
        assert_eq!(unchanged("", "x"), []);
    }
}
