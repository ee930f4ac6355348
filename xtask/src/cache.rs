//! What is expensive and does not depend on the checkout lives outside it, shared by all checkouts of a user.
//! Entries are built beside their place and renamed into it: whoever sees an entry sees all of it.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::talk;

/// The cache folder: `VPSIE_AUTOSCALER_CACHE`, or `vpsie-autoscaler` in the user's cache folder.
pub fn folder() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("VPSIE_AUTOSCALER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("vpsie-autoscaler")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/vpsie-autoscaler")))
        .context("finding the cache folder: set VPSIE_AUTOSCALER_CACHE, XDG_CACHE_HOME or HOME")
}

/// Returns the entry `name` (a relative path that changes with what is in it), built by `build` where it is
/// missing. Two processes that want the same entry build it once: the second waits.
pub fn entry(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    entry_in(&folder()?, name, build)
}

fn entry_in(cache: &Path, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = cache.join(name);
    if path.is_dir() {
        return Ok(path);
    }
    let parent = path.parent().context("a cache entry lies in the cache folder")?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;

    let beside = |suffix: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        parent.join(name)
    };
    let lock = File::create(beside(".lock")).context("creating a lock in the cache folder")?;
    if lock.try_lock().is_err() {
        talk::note(&format!("  waiting for another process that builds {name}"));
        lock.lock().context("waiting for the lock of a cache entry")?;
    }
    if path.is_dir() {
        return Ok(path);
    }
    let unfinished = beside(".unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("clearing {}", unfinished.display()))?;
    }
    fs::create_dir(&unfinished).with_context(|| format!("creating {}", unfinished.display()))?;
    build(&unfinished)?;
    fs::rename(&unfinished, &path).with_context(|| format!("completing {}", path.display()))?;
    Ok(path)
}

/// A short name for the content of `files` (missing ones are an error) and of `settings`.
pub fn key(files: &[impl AsRef<Path>], settings: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    for file in files {
        let file = file.as_ref();
        let name = file.file_name().context("a file has a name")?;
        add(name.as_encoded_bytes());
        add(&fs::read(file).with_context(|| format!("reading {}", file.display()))?);
    }
    for setting in settings {
        add(setting.as_bytes());
    }
    let digest = hash.finalize();
    Ok(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use anyhow::bail;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn many_that_want_an_entry_build_it_once_and_see_all_of_it() {
        let cache = TempDir::new().unwrap();
        let built = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let entry = entry_in(cache.path(), "kind/name", |folder| {
                        built.fetch_add(1, Ordering::SeqCst);
                        fs::write(folder.join("first"), "1")?;
                        thread::yield_now();
                        Ok(fs::write(folder.join("last"), "2")?)
                    });
                    let entry = entry.unwrap();
                    assert!(entry.join("first").is_file() && entry.join("last").is_file());
                });
            }
        });
        assert_eq!(built.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_build_that_fails_leaves_no_entry_and_the_next_starts_clean() {
        let cache = TempDir::new().unwrap();
        let failed = entry_in(cache.path(), "name", |folder| {
            fs::write(folder.join("half"), "")?;
            bail!("no network")
        });
        assert!(failed.is_err() && !cache.path().join("name").exists());
        let entry = entry_in(cache.path(), "name", |folder| {
            Ok(fs::write(folder.join("whole"), "")?)
        })
        .unwrap();
        assert!(entry.join("whole").is_file() && !entry.join("half").exists());
    }

    #[test]
    fn the_key_follows_content_names_and_settings() {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let (a, b, same) = (file("go.sum", "1"), file("go.mod", "1"), file("other", "1"));
        let keys = [
            key(&[&a], &["linux"]).unwrap(),
            key(&[&b], &["linux"]).unwrap(),
            key(&[&a], &["darwin"]).unwrap(),
            key(&[&a, &same], &[]).unwrap(),
        ];
        assert_eq!(
            keys.iter().collect::<std::collections::BTreeSet<_>>().len(),
            keys.len()
        );
        assert_eq!(key(&[&a], &["linux"]).unwrap(), keys[0]);
        file("go.sum", "2");
        assert_ne!(key(&[&a], &["linux"]).unwrap(), keys[0]);
        assert!(key(&[folder.path().join("missing")], &[]).is_err());
    }
}
