//! Where records are kept: the last ones that fit into a number of bytes, in a folder or in memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// How the files of records end.
const ENDING: &str = ".json.gz";
/// How those end that a process was writing when it died.
const UNFINISHED: &str = ".unfinished";

/// A record that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names sort by age.
    pub name: String,
    pub bytes: u64,
}

/// Records by age. What is older than the bytes allow is gone.
#[derive(Debug)]
pub struct Ring {
    limit: u64,
    total: u64,
    entries: VecDeque<Entry>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(VecDeque<Vec<u8>>),
}

impl Ring {
    /// A ring that ends with the process.
    pub fn in_memory(limit: u64) -> Self {
        Self {
            limit,
            total: 0,
            entries: VecDeque::new(),
            place: Place::Memory(VecDeque::new()),
        }
    }

    /// A ring of files, with those that are there already.
    ///
    /// # Errors
    /// Where the folder cannot be made, read or written.
    pub fn in_folder(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file = entry.file_name();
            let Some(file) = file.to_str() else { continue };
            if file.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            } else if let Some(name) = file.strip_suffix(ENDING) {
                entries.push(Entry {
                    name: name.to_owned(),
                    bytes: entry.metadata()?.len(),
                });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let mut ring = Self {
            limit,
            total: entries.iter().map(|entry| entry.bytes).sum(),
            entries: entries.into(),
            place: Place::Folder(folder.to_owned()),
        };
        ring.make_room(0)?;
        Ok(ring)
    }

    /// Adds a record; the oldest ones make room for it.
    ///
    /// # Errors
    /// Where it is larger than the ring, or cannot be written.
    pub fn put(&mut self, name: &str, record: Vec<u8>) -> io::Result<()> {
        let bytes = record.len() as u64;
        if bytes > self.limit {
            let text = format!("a record of {bytes} bytes does not fit into {} bytes", self.limit);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        self.make_room(bytes)?;
        match &mut self.place {
            Place::Memory(records) => records.push_back(record),
            Place::Folder(folder) => {
                // Whole or not at all: a reader never meets a half.
                let unfinished = folder.join(format!("{name}{UNFINISHED}"));
                fs::write(&unfinished, record)?;
                fs::rename(&unfinished, folder.join(format!("{name}{ENDING}")))?;
            }
        }
        self.total += bytes;
        self.entries.push_back(Entry {
            name: name.to_owned(),
            bytes,
        });
        Ok(())
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.total + bytes > self.limit {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.total -= oldest.bytes;
            match &mut self.place {
                Place::Memory(records) => drop(records.pop_front()),
                Place::Folder(folder) => match fs::remove_file(folder.join(oldest.name + ENDING)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// What is kept, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The bytes of a record; none where there is no such record (any more).
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(at) = self.entries.iter().position(|entry| entry.name == name) else {
            return Ok(None);
        };
        match &self.place {
            Place::Memory(records) => Ok(records.get(at).cloned()),
            Place::Folder(folder) => match fs::read(folder.join(format!("{name}{ENDING}"))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.map(Some),
            },
        }
    }
}
