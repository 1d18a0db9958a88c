//! Who a container runs as: names and numbers against the image's own `/etc/passwd` and `/etc/group`.

use uc_model::{Problem, Result};

use crate::{bounds, unpack::LayerStack};

/// The highest id that peers accept.
const HIGHEST_ID: u32 = i32::MAX as u32;

/// A user inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups: those that list the user, unless a group was named.
    pub groups: Vec<u32>,
    /// The home directory, where the user is in `/etc/passwd`.
    pub home: Option<String>,
}

/// Resolves `USER[:GROUP]`, each a name or a number; empty is user 0. A number needs no entry in the image.
///
/// # Errors
/// Not found for a name that the image does not have; invalid for an id out of range; those of reading the layers.
pub fn resolve(text: &str, layers: &LayerStack) -> Result<Account> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let passwd = account_file(layers, "etc/passwd")?;
    let (uid, mut gid, home, name) = match find_user(&passwd, user) {
        Some(user) => (user.uid, user.gid, user.home, Some(user.name)),
        None => (number(user, "user", text)?, 0, None, None),
    };
    let groups_file = account_file(layers, "etc/group")?;
    let mut groups = Vec::new();
    match (group, name) {
        (Some(group), _) => {
            gid = match find_group(&groups_file, group) {
                Some(gid) => gid,
                None => number(group, "group", text)?,
            };
        }
        (None, Some(name)) => groups = memberships(&groups_file, &name),
        (None, None) => {}
    }
    Ok(Account {
        uid,
        gid,
        groups,
        home,
    })
}

fn account_file(layers: &LayerStack, path: &str) -> Result<String> {
    let bytes = layers
        .read_file(path.as_bytes(), bounds::ACCOUNT_FILE_BYTES)?
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line of `/etc/passwd`.
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: Option<String>,
}

/// The first user with this name or number.
fn find_user(passwd: &str, wanted: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.splitn(7, ':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            return None;
        };
        let (uid, gid) = (in_range(uid)?, in_range(gid)?);
        let matches = *name == wanted || in_range(wanted) == Some(uid);
        let home = (!home.is_empty()).then(|| (*home).to_owned());
        matches.then(|| User {
            name: (*name).to_owned(),
            uid,
            gid,
            home,
        })
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.splitn(4, ':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, in_range(gid)?, fields.next().unwrap_or_default()))
    })
}

fn find_group(group: &str, wanted: &str) -> Option<u32> {
    groups(group)
        .find(|(name, gid, _)| *name == wanted || in_range(wanted) == Some(*gid))
        .map(|(_, gid, _)| gid)
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let mut gids: Vec<u32> = groups(group)
        .filter(|(_, _, members)| members.split(',').any(|member| member.trim() == user))
        .map(|(_, gid, _)| gid)
        .take(bounds::SUPPLEMENTARY_GROUPS)
        .collect();
    gids.sort_unstable();
    gids.dedup();
    gids
}

fn in_range(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= HIGHEST_ID)
}

fn number(text: &str, what: &str, whole: &str) -> Result<u32> {
    if let Some(id) = in_range(text) {
        return Ok(id);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::invalid(format!("the {what} id is out of range"))
            .limit(format!("0 to {HIGHEST_ID}"))
            .found(text));
    }
    let file = if what == "user" {
        "/etc/passwd"
    } else {
        "/etc/group"
    };
    Err(
        Problem::not_found(format!("the image has no {what} of this name"))
            .at(format!("user {whole:?}"))
            .limit(format!("a number or a name of the image's {file}"))
            .found(format!("{text:?}"))
            .remedy("set runAsUser and runAsGroup to numbers"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stack(passwd: &str, group: &str) -> (tempfile::TempDir, LayerStack) {
        let layer = tempfile::tempdir().expect("makes a directory");
        fs::create_dir(layer.path().join("etc")).expect("makes");
        fs::write(layer.path().join("etc/passwd"), passwd).expect("writes");
        fs::write(layer.path().join("etc/group"), group).expect("writes");
        let stack = LayerStack::open(&[layer.path()]).expect("opens");
        (layer, stack)
    }

    #[test]
    fn names_and_numbers_resolve_as_peers_do() {
        let (_keep, stack) = stack(
            "root:x:0:0:root:/root:/bin/sh\nbroken\nnginx:x:101:102:web:/var/www:/bin/false\n",
            "root:x:0:\nwww:x:33:nginx\nlog:x:4:other, nginx\nnginx:x:102:\n",
        );
        let account = |text: &str| resolve(text, &stack).expect(text);
        let nginx = account("nginx");
        assert_eq!(
            (nginx.uid, nginx.gid, nginx.groups.as_slice()),
            (101, 102, &[4, 33][..])
        );
        assert_eq!(nginx.home.as_deref(), Some("/var/www"));
        assert_eq!(account("101"), nginx);
        let www = account("nginx:www");
        assert_eq!((www.uid, www.gid, www.groups.len()), (101, 33, 0));
        let free = account("1000:1001");
        assert_eq!((free.uid, free.gid, free.home), (1000, 1001, None));
        assert_eq!(account("1000").gid, 0);
        assert_eq!(account("").home.as_deref(), Some("/root"));
        for wrong in [
            "nobody",
            "nginx:nobody",
            "4294967295",
            "-1",
            "99999999999999999999",
        ] {
            assert!(resolve(wrong, &stack).is_err(), "{wrong} must be refused");
        }
    }

    #[test]
    fn an_image_without_account_files_takes_numbers() {
        let layer = tempfile::tempdir().expect("makes a directory");
        let stack = LayerStack::open(&[layer.path()]).expect("opens");
        assert_eq!(resolve("7:8", &stack).expect("numbers").gid, 8);
        assert!(resolve("root", &stack).is_err());
    }
}
