//! Bytes by their SHA-256, in a folder: a restart without network still has its policies.
//!
//! *Invariant:* what is read is what was asked for. The file's name is the hash that its content must have, and
//! it is computed at every read; whoever can write the folder can make us forget, and nothing else. Compiled code
//! is never kept there, because it could not be checked so (docs/adr/0012-policy-cache.md).

use super::{LARGEST, sha256};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the folder may hold; the least recently used go first. A dozen policies with an interpreter inside.
const FOLDER_BYTES: u64 = 256 << 20;

/// The folder, where there is one.
#[derive(Clone, Debug, Default)]
pub(in crate::policies) struct Blobs {
    folder: Option<PathBuf>,
}

impl Blobs {
    /// Keeps nothing where there is no folder.
    pub(in crate::policies) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// What has this hash; none where it is not there, or no longer itself.
    pub(in crate::policies) async fn get(&self, hash: &str) -> Option<Vec<u8>> {
        let path = self.path(hash)?;
        let hash = hash.to_owned();
        tokio::task::spawn_blocking(move || checked(&path, &hash))
            .await
            .ok()?
    }

    /// Keeps the bytes under their hash. A full or broken disk is no reason not to decide. Waits for the disk:
    /// not for the runtime's threads.
    pub(in crate::policies) fn put(&self, hash: &str, bytes: &[u8]) {
        let Some(path) = self.path(hash).filter(|path| !path.exists()) else {
            return;
        };
        if let Err(error) = write(&path, bytes).and_then(|()| prune(&path)) {
            tracing::warn!("the policy cache cannot be written: {error}");
        }
    }

    fn path(&self, hash: &str) -> Option<PathBuf> {
        let plain = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.folder
            .as_ref()
            .filter(|_| plain)
            .map(|folder| folder.join(hash))
    }
}

fn checked(path: &Path, hash: &str) -> Option<Vec<u8>> {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("the policy cache cannot be read: {error}");
            return None;
        }
    };
    if sha256(&bytes) != hash {
        tracing::warn!(
            sha256 = hash,
            "a file of the policy cache was changed: it is thrown away"
        );
        drop(fs::remove_file(path));
        return None;
    }
    Some(bytes)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    // For the order in which files go.
    drop(file.set_modified(SystemTime::now()));
    let mut bytes = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whole or not at all: a process that ends in the middle leaves no half file under the name.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let mut file = fs::File::create(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    match written {
        Ok(()) => fs::rename(&part, path),
        Err(error) => {
            drop(fs::remove_file(&part));
            Err(error)
        }
    }
}

/// Removes what was used longest ago until the folder is small enough; never the file that was just written.
fn prune(keep: &Path) -> io::Result<()> {
    let Some(folder) = keep.parent() else {
        return Ok(());
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_file() {
            files.push((about.modified()?, entry.path(), about.len()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, _, length)| length).sum();
    for (_, path, length) in files.iter().filter(|(_, path, _)| path != keep) {
        if total <= FOLDER_BYTES {
            break;
        }
        fs::remove_file(path)?;
        total -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_changed_on_the_disk_is_not_given_out() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Some(folder.path().join("new")));
        let hash = sha256(b"policy");
        assert_eq!(blobs.get(&hash).await, None);
        blobs.put(&hash, b"policy");
        assert_eq!(blobs.get(&hash).await.as_deref(), Some(&b"policy"[..]));
        let file = folder.path().join("new").join(&hash);
        fs::write(&file, b"another").unwrap();
        assert_eq!(blobs.get(&hash).await, None);
        assert!(!file.exists());
        blobs.put(&hash, b"policy");
        assert!(blobs.get(&hash).await.is_some(), "and it is had again");
    }

    #[tokio::test]
    async fn only_hashes_are_names() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Some(folder.path().to_owned()));
        for name in ["../x", "", &"g".repeat(64)] {
            blobs.put(name, b"x");
            assert_eq!(blobs.get(name).await, None);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let nowhere = Blobs::new(None);
        nowhere.put(&sha256(b"x"), b"x");
        assert_eq!(nowhere.get(&sha256(b"x")).await, None);
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Some(folder.path().to_owned()));
        let old = SystemTime::now() - std::time::Duration::from_secs(3600);
        let sparse = |name: &str, length: u64| {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_len(length).unwrap();
            file.set_modified(old).unwrap();
        };
        sparse("old", FOLDER_BYTES);
        let hash = sha256(b"new");
        blobs.put(&hash, b"new");
        assert!(blobs.get(&hash).await.is_some() && !folder.path().join("old").exists());
    }
}
